"""Files: which one a URL names, who makes it, and what is said when it cannot be used."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from celeriac.drivers import load
from celeriac.drivers.sqlite.errors import explain
from celeriac.exceptions import (
    BackendError,
    BrokerError,
    BrokerUnavailable,
    CoordinatorError,
    ImproperlyConfigured,
)
from celeriac.interfaces.broker import Broker, Outgoing, Route
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import Store, StoreOptions
from celeriac.wire.message import Message

MESSAGE = Message(headers={"id": "1"}, body=b"[[], {}, {}]")
OUTGOING = Outgoing(route=Route(queue="work"), message=MESSAGE)


def open_broker(url: str, **transport_options: object) -> Broker:
    broker = load(url, StoreOptions(transport_options=transport_options)).broker
    assert broker is not None
    return broker


def test_three_slashes_name_a_file_beside_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broker = open_broker("sqlite:///some%20name.db")
    monkeypatch.chdir("/")
    broker.connect()
    broker.close()
    assert (tmp_path / "some name.db").exists()


def test_four_slashes_name_a_file_from_the_root(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/abs.db?synchronous=FULL&busy_timeout=1.5")
    assert broker.location == f"sqlite:///{tmp_path}/abs.db"
    broker.connect()
    broker.close()
    assert (tmp_path / "abs.db").exists()


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///directory/", "names no file"),
        ("sqlite://my.db", "three slashes"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///a.db?synchronous=OFF", "NORMAL or FULL"),
        ("sqlite:///a.db?busy_timeout=5000", "seconds"),
        ("sqlite:///a.db?busy_timeout=soon", "seconds"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=advice):
        open_broker(url)


@pytest.mark.parametrize(("synchronous", "value"), [("NORMAL", 1), ("full", 2)])
def test_the_transport_options_choose_how_durable_a_commit_is(tmp_path: Path, synchronous: str, value: int) -> None:
    store = load(f"sqlite:///{tmp_path}/a.db", StoreOptions(transport_options={"synchronous": synchronous}))
    assert "synchronous" in store.used_options
    broker = store.broker
    assert broker is not None
    with broker._database.write(BrokerError) as connection:  # type: ignore[attr-defined]
        assert connection.execute("PRAGMA synchronous").fetchone() == (value,)
    broker.close()


def test_every_contract_fails_with_its_own_error_where_the_directory_is_missing(tmp_path: Path) -> None:
    store = load(f"sqlite:///{tmp_path}/missing/a.db", StoreOptions())
    broker, results, coordinator, pubsub = _parts(store)
    for kind, call in (
        (BrokerUnavailable, lambda: broker.send([OUTGOING])),
        (BackendError, lambda: results.store([ResultRecord("1", "SUCCESS", b"{}", 1.0)])),
        (CoordinatorError, lambda: coordinator.acquire("beat", owner="a", ttl=1.0)),
        (BrokerError, lambda: pubsub.subscribe([])),
    ):
        with pytest.raises(kind, match=r"missing/a\.db.*directory exists"):
            call()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and they are longer than the header of a database " * 20)
    before = path.read_bytes()
    with pytest.raises(ImproperlyConfigured, match="no SQLite database"):
        open_broker(f"sqlite:///{path}").send([OUTGOING])
    assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    broker = open_broker(f"sqlite:///{path}")
    broker.connect()
    broker.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ImproperlyConfigured, match="version 99"):
        broker.connect()


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE messages (id)", "PRAGMA user_version = 1", "CREATE TABLE theirs (id); PRAGMA user_version = 1"],
)
def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
    before = path.read_bytes()
    store = load(f"sqlite:///{path}", StoreOptions())
    broker, results, coordinator, pubsub = _parts(store)
    for call in (
        broker.connect,
        lambda: broker.send([OUTGOING]),
        lambda: broker.stats(["work"]),
        lambda: results.fetch(["1"]),
        lambda: coordinator.acquire("beat", owner="a", ttl=1.0),
        lambda: pubsub.subscribe([]),
    ):
        with pytest.raises(ImproperlyConfigured, match="belongs to another program"):
            call()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["theirs.db"]


def test_many_who_open_a_new_file_at_once_all_find_it_theirs(tmp_path: Path) -> None:
    brokers = [open_broker(f"sqlite:///{tmp_path}/new.db") for _ in range(8)]
    with ThreadPoolExecutor(len(brokers)) as threads:
        list(threads.map(lambda broker: broker.send([OUTGOING]), brokers))
    assert brokers[0].stats(["work"])["work"].ready == len(brokers)
    for broker in brokers:
        broker.close()


def test_a_relative_path_is_relative_to_the_directory_that_is_given(tmp_path: Path) -> None:
    broker = load("sqlite:///a.db", StoreOptions(directory=str(tmp_path))).broker
    assert broker is not None
    assert broker.location == f"sqlite:///{tmp_path}/a.db"


def test_a_writer_that_keeps_the_file_locked_is_named_after_a_bounded_wait(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/a.db", busy_timeout=0.05)
    broker.send([OUTGOING])
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="busy_timeout"):
            broker.send([OUTGOING])
        assert broker.stats(["work"])["work"].ready == 1, "readers do not wait for writers"
        other.execute("ROLLBACK")
    broker.send([OUTGOING])
    assert broker.stats(["work"])["work"].ready == 2
    broker.close()


def test_threads_that_find_the_file_locked_do_not_wait_for_one_another(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/a.db", busy_timeout=0.5)
    broker.send([OUTGOING])
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other, ThreadPoolExecutor(40) as pool:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        sends = [pool.submit(broker.send, [OUTGOING] * (1 + number % 2)) for number in range(40)]
        assert {type(send.exception(timeout=60)) for send in sends} == {BrokerUnavailable}
        assert time.monotonic() - began < 10, "one after the other they would take 20 s"
        other.execute("ROLLBACK")
    broker.send([OUTGOING])
    assert broker.stats(["work"])["work"].ready == 2
    broker.close()


def test_a_call_that_is_broken_off_while_it_waits_for_the_lock_does_not_keep_it(
    tmp_path: Path,
) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/a.db")
    broker.send([OUTGOING])
    before = signal.getsignal(signal.SIGALRM)
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.5, other.execute, ["COMMIT"])
        end.start()
        signal.signal(signal.SIGALRM, _break_off)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            with pytest.raises(KeyboardInterrupt):
                broker.send([OUTGOING, OUTGOING])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        end.join()
        other.execute("PRAGMA busy_timeout = 100")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    broker.send([OUTGOING])
    assert broker.stats(["work"])["work"].ready == 2
    broker.close()


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "full.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA max_page_count = 3")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    error = explain(full.value, "sqlite:///full.db", BackendError)
    assert type(error) is BackendError
    assert "free some space" in str(error)


def test_a_file_that_may_not_be_written_is_named_as_such(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    with (
        closing(sqlite3.connect(f"file:{tmp_path}/a.db?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as read_only,
    ):
        connection.execute("CREATE TABLE t (a)")
    assert "may not write" in str(explain(read_only.value, "sqlite:///a.db", BrokerError))


def test_a_file_that_was_removed_is_made_anew_and_not_written_to_unseen(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/a.db")
    broker.send([OUTGOING])
    for file in list(tmp_path.iterdir()):
        file.unlink()
    broker.send([OUTGOING, OUTGOING])
    other = open_broker(f"sqlite:///{tmp_path}/a.db")
    assert other.stats(["work"])["work"].ready == 2
    assert broker.stats(["work"])["work"].ready == 2
    broker.close()
    assert other.stats(["work"])["work"].ready == 2
    other.close()


def test_a_client_that_was_closed_opens_the_file_again(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/a.db")
    broker.send([OUTGOING])
    broker.close()
    assert broker.stats(["work"])["work"].ready == 1
    broker.close()


def _break_off(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _parts(store: Store):  # type: ignore[no-untyped-def]
    return store.broker, store.results, store.coordinator, store.pubsub
