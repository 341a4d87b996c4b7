"""How a worker's log looks and where it goes."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celeriac import signals
from celeriac.app.context import Context, running
from celeriac.exceptions import ImproperlyConfigured
from celeriac.log import get_task_logger
from celeriac.settings.conf import Settings
from celeriac.wire.tasks import TaskCall
from celeriac.worker.logs import JsonFormatter, LogSetup, LogStream, TaskFormatter, level_of
from celeriac.worker.task_log import shown


@pytest.fixture
def _in_a_task() -> Iterator[None]:
    token = running.set(Context(TaskCall(name="work", id="x", args=(), kwargs={})))
    yield
    running.reset(token)


def record(text: str = "said %s", *args: object, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    return logging.getLogger("n").makeRecord("n", level, "f.py", 1, text, args or ("so",), None, extra=extra or None)


@pytest.mark.parametrize(
    ("name", "level"), [("INFO", 20), ("info", 20), ("Warning", 30), ("fatal", 50), (15, 15), ("15", 15)]
)
def test_levels_go_by_name_or_number(name, level):
    assert level_of(name) == level


def test_a_level_that_does_not_exist_is_an_error_that_lists_those_that_do():
    with pytest.raises(ImproperlyConfigured, match=r"no log level 'loud'; known: DEBUG, INFO"):
        level_of("loud")


# -- formats -----------------------------------------------------------------------------------------------------------

TEXT = "%(task_name)s %(task_id)s %(message)s"


def test_outside_a_task_its_name_and_id_are_unknown():
    assert TaskFormatter(TEXT, None, colour=False).format(record()) == "??? ??? said so"


@pytest.mark.usefixtures("_in_a_task")
def test_inside_a_task_lines_carry_its_name_and_id():
    assert TaskFormatter(TEXT, None, colour=False).format(record()) == "work x said so"


@pytest.mark.usefixtures("_in_a_task")
def test_a_record_s_own_task_wins_over_the_one_that_runs():
    line = TaskFormatter(TEXT, None, colour=False).format(record(task_name="other", task_id="y"))
    assert line == "other y said so"


@pytest.mark.parametrize(
    ("level", "code"), [(logging.INFO, None), (logging.WARNING, 33), (logging.ERROR, 31), (logging.DEBUG, 34)]
)
def test_colours_go_by_level(level, code):
    line = TaskFormatter("%(message)s", None, colour=True).format(record(level=level))
    assert line == ("said so" if code is None else f"\x1b[{code}msaid so\x1b[0m")


@pytest.mark.usefixtures("_in_a_task")
def test_as_json_each_line_is_an_object():
    entry = json.loads(JsonFormatter().format(record("said %s", "ä\n")))
    assert (entry["message"], entry["level"], entry["logger"]) == ("said ä\n", "INFO", "n")
    assert (entry["task_name"], entry["task_id"]) == ("work", "x")
    assert entry["time"].endswith("+00:00")
    assert {"process", "pid"} <= set(entry)


def test_as_json_a_line_outside_a_task_has_no_task_and_an_error_has_its_traceback():
    try:
        raise ValueError("mine")
    except ValueError:
        line = logging.getLogger("n").makeRecord("n", 40, "f.py", 1, "failed", (), sys.exc_info())
    entry = json.loads(JsonFormatter().format(line))
    assert "task_id" not in entry
    assert "ValueError: mine" in entry["exception"]


@pytest.mark.parametrize(("most", "expected"), [(100, "'abcdefghij'"), (8, "'abcd..."), (12, "'abcdefghij'")])
def test_values_are_shown_up_to_a_length(most, expected):
    assert shown("abcdefghij", most) == expected


def test_a_value_whose_repr_fails_is_shown_by_its_type():
    class Broken:
        def __repr__(self) -> str:
            raise ValueError(self)

    assert shown(Broken(), 100) == "<Broken whose repr failed: ValueError>"


# -- setting up --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root, tasks = logging.getLogger(), logging.getLogger("celery.task")
    before = root.handlers[:], root.level, tasks.handlers[:], tasks.propagate, sys.stdout, sys.stderr
    yield
    for handler in {*root.handlers, *tasks.handlers} - {*before[0], *before[2]}:
        handler.close()
    root.handlers[:], root.level, tasks.handlers[:], tasks.propagate, sys.stdout, sys.stderr = before


def setup(logfile: Path, **conf: Any) -> LogSetup:
    settings = Settings()
    settings.update(conf)
    return LogSetup.of(settings, loglevel="INFO", logfile=str(logfile), nodename="n@h")


@pytest.mark.usefixtures("_logging_restored")
def test_a_worker_s_log_has_celery_s_formats(tmp_path):
    setup(tmp_path / "%n%I.log", worker_redirect_stdouts=False).install(index=2)
    logging.getLogger("mine").info("plain")
    get_task_logger("mine").info("of a task", extra={"task_name": "work", "task_id": "x"})
    plain, of_task = (tmp_path / "n-2.log").read_text().splitlines()
    assert plain.endswith(": INFO/MainProcess] plain")
    assert of_task.endswith(": INFO/MainProcess] work[x]: of a task")


@pytest.mark.usefixtures("_logging_restored")
def test_times_have_their_formats_in_both_kinds_of_lines(tmp_path):
    setup(
        tmp_path / "log", worker_redirect_stdouts=False, worker_log_datefmt="A", worker_task_log_datefmt="B"
    ).install()
    logging.getLogger("mine").info("plain")
    get_task_logger("mine").info("of a task")
    assert [line[:3] for line in (tmp_path / "log").read_text().splitlines()] == ["[A:", "[B:"]


@pytest.mark.usefixtures("_logging_restored")
def test_a_worker_s_log_may_be_json(tmp_path):
    setup(tmp_path / "log", worker_log_json=True, worker_redirect_stdouts=False).install()
    logging.getLogger("mine").info("plain")
    assert json.loads((tmp_path / "log").read_text())["message"] == "plain"


@pytest.mark.usefixtures("_logging_restored")
def test_what_tasks_print_goes_to_the_log(tmp_path):
    setup(tmp_path / "log", worker_redirect_stdouts_level="ERROR").install()
    print("several", "words")
    print("to stderr", file=sys.stderr)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["several words", "to stderr"]
    assert all(": ERROR/" in line for line in lines)


@pytest.mark.usefixtures("_logging_restored")
def test_a_receiver_of_setup_logging_takes_over(tmp_path):
    told: list[dict[str, Any]] = []

    def take_over(**fields: Any) -> None:
        told.append(fields)

    signals.setup_logging.connect(take_over)
    setup(tmp_path / "log").install()
    signals.setup_logging.disconnect(take_over)
    assert (told[0]["loglevel"], told[0]["logfile"]) == (20, str(tmp_path / "log"))
    assert not (tmp_path / "log").exists()


@pytest.mark.usefixtures("_logging_restored")
def test_handlers_that_the_user_has_set_up_may_stay(tmp_path):
    mine = logging.StreamHandler(io.StringIO())
    logging.getLogger().handlers[:] = [mine]
    setup(tmp_path / "log", worker_hijack_root_logger=False, worker_redirect_stdouts=False).install()
    assert logging.getLogger().handlers == [mine]


def test_a_task_s_logger_is_a_child_of_celery_s():
    assert get_task_logger("my.module").name == "celery.task.my.module"
    assert get_task_logger("celery.task").name == "celery.task"


# -- printed lines -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(caplog) -> LogStream:
    caplog.set_level("INFO", "printed")
    return LogStream(logging.getLogger("printed"), logging.WARNING, None)


def test_a_line_is_logged_when_it_is_complete(stream, caplog):
    stream.write("one ")
    assert caplog.messages == []
    stream.write("line\nand a part")
    assert caplog.messages == ["one line"]
    stream.write("ner\n")
    assert caplog.messages == ["one line", "and a partner"]


def test_flush_logs_what_was_begun(stream, caplog):
    stream.write("no end")
    stream.flush()
    stream.flush()
    assert caplog.messages == ["no end"]


def test_a_line_that_never_ends_is_logged_in_pieces(stream, caplog):
    for _ in range(20):
        stream.write("x" * 1000)
    assert [len(message) for message in caplog.messages] == [9000, 9000]
    stream.flush()
    assert "".join(caplog.messages) == "x" * 20_000


def test_a_begun_line_is_its_own_task_s_and_no_part_of_the_next_one_s(stream, caplog):
    for name in ("first", "second"):
        token = running.set(Context(TaskCall(name, f"id of {name}")))
        stream.write(f"{name} begins")
        running.reset(token)
    stream.write("after both\n")
    told = [(record.message, record.task_name, record.task_id) for record in caplog.records]
    assert told == [
        ("first begins", "first", "id of first"),
        ("second begins", "second", "id of second"),
        ("after both", "???", "???"),
    ]


def test_only_text_can_be_written(stream):
    with pytest.raises(TypeError, match="must be str, not bytes"):
        stream.write(b"bytes")


def test_empty_lines_and_percent_signs_are_harmless(stream, caplog):
    stream.writelines(["\n", "  \n", "100 %s %d\n"])
    assert caplog.messages == ["100 %s %d"]


def test_lines_of_several_threads_do_not_mix_and_none_is_lost(stream, caplog):
    def speak(name: str) -> None:
        for _ in range(100):
            stream.write(name)
            stream.write(name + "\n")

    threads = [threading.Thread(target=speak, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(caplog.messages) == sorted(name * 2 for name in "abcd" for _ in range(100))


def test_a_handler_that_prints_does_not_go_round_for_ever(stream, caplog):
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.write("from the handler\n")

    handler = Printing()
    logging.getLogger("printed").addHandler(handler)
    stream.write("line\n")
    logging.getLogger("printed").removeHandler(handler)
    assert caplog.messages == ["line"]


def test_it_is_no_terminal_and_has_the_file_of_the_real_one():
    real = sys.__stdout__
    stream = LogStream(logging.getLogger("printed"), logging.INFO, real)
    assert not stream.isatty()
    assert stream.fileno() == real.fileno()
    with pytest.raises(OSError, match="no such stream"):
        LogStream(logging.getLogger("printed"), logging.INFO, None).fileno()


def test_a_format_that_cannot_be_names_its_settings():
    setup = LogSetup.of(Settings(), loglevel="INFO", logfile=None, nodename="w@host")
    with pytest.raises(
        ImproperlyConfigured, match=r"'plain' cannot be .* \(worker_log_format, worker_task_log_format\)"
    ):
        setup._handler("plain", None, 1)


def test_a_line_that_has_not_what_the_format_asks_for_is_written_all_the_same():
    line = TaskFormatter("%(nosuch)s %(message)s", None, colour=False).format(record())
    assert "said so" in line
    assert "nosuch" in line
