"""Celery's layout of keys: what stock workers find, and what they leave for us."""

from __future__ import annotations

import json
import time

import pytest
from redis import Redis

from celeriac.exceptions import BrokerError, ImproperlyConfigured
from celeriac.interfaces.broker import QueueSpec, Terms
from celeriac.interfaces.store import Store
from celeriac.testing.conformance.samples import eventually
from tests.integration.redis.conftest import Open
from tests.integration.redis.samples import (
    broker_of,
    ids,
    leases,
    message,
    outgoing,
    receive,
    stock_envelope,
)
from tests.servers.redis import RedisServer

SEP = b"\x06\x16"


def test_a_message_lies_on_the_list_of_its_priority_step(store: Store, outside: Redis, prefix: str) -> None:
    broker_of(store).send([outgoing(1), outgoing(2, priority=5), outgoing(3, priority=9), outgoing(4, priority=2)])
    name = f"{prefix}q".encode()
    assert [outside.llen(key) for key in (name, name + SEP + b"3", name + SEP + b"6", name + SEP + b"9")] == [
        2,
        1,
        0,
        1,
    ]


def test_a_queue_that_would_be_another_key_is_refused_before_anything_is_written(
    store: Store, outside: Redis, prefix: str
) -> None:
    broker, before = broker_of(store), set(outside.keys(f"{prefix}*"))
    for call in (
        lambda: broker.check_queue("unacked"),
        lambda: broker.declare([QueueSpec("unacked")]),
        lambda: broker.send([outgoing(1, queue="unacked")]),
        lambda: broker.send([outgoing(1), outgoing(2, queue="celeriac:queues")]),
        lambda: receive(broker, "celery-task-meta-x"),
        lambda: broker.purge("unacked_index"),
    ):
        with pytest.raises(ImproperlyConfigured, match="cannot be called"):
            call()
    assert set(outside.keys(f"{prefix}*")) == before


def test_a_held_message_is_noted_so_that_stock_workers_restore_it(store: Store, outside: Redis, prefix: str) -> None:
    broker_of(store).send([outgoing(1)])
    before = time.time()
    (held,) = receive(broker_of(store), lease=30.0)
    raw, exchange, routing_key = json.loads(outside.hget(f"{prefix}unacked", held.lease.tag))
    assert (raw["headers"]["id"], exchange, routing_key) == ("1", "", "q")
    assert outside.zscore(f"{prefix}unacked_index", held.lease.tag) == pytest.approx(before + 30 - 3600, abs=5)


def test_our_upkeep_restores_what_a_stock_worker_lost(store: Store, outside: Redis, prefix: str) -> None:
    lose(outside, prefix, stock_envelope(1), ("", "q"))
    assert broker_of(store).upkeep(limit=10).reclaimed == 1
    (restored,) = receive(broker_of(store))
    assert restored.message == message_of(stock_envelope(1))
    assert restored.redelivered
    assert outside.hlen(f"{prefix}unacked") == 1  # ours now


def test_a_fresh_delivery_of_a_stock_worker_is_left_alone(store: Store, outside: Redis, prefix: str) -> None:
    lose(outside, prefix, stock_envelope(1), ("", "q"), age=10)
    assert broker_of(store).upkeep(limit=10).reclaimed == 0
    assert outside.hlen(f"{prefix}unacked") == 1


@pytest.mark.parametrize(
    "binding",
    [("direct", "mail.out", "mail.out"), ("topic", "mail.*", "mail.out"), ("topic", "#", "a.b")],
)
def test_a_restored_message_follows_the_bindings(
    store: Store, outside: Redis, prefix: str, binding: tuple[str, str, str]
) -> None:
    kind, bound, key = binding
    spec = QueueSpec("letters", exchange="post", exchange_type=kind, routing_key=bound)
    broker_of(store).declare([spec, QueueSpec("other", exchange="post", exchange_type=kind, routing_key="other.key")])
    lose(outside, prefix, stock_envelope(1, exchange="post", routing_key=key, priority=6), ("post", key))
    broker_of(store).upkeep(limit=10)
    assert ids(receive(broker_of(store), "letters")) == ["1"]
    assert receive(broker_of(store), "other") == []


def test_a_restored_message_keeps_its_priority(store: Store, outside: Redis, prefix: str) -> None:
    lose(outside, prefix, stock_envelope(1, priority=7), ("", "q"))
    broker_of(store).upkeep(limit=10)
    assert outside.llen(f"{prefix}q".encode() + SEP + b"6") == 1


def test_a_message_without_a_way_back_becomes_a_dead_letter(store: Store, outside: Redis, prefix: str) -> None:
    lose(outside, prefix, stock_envelope(1), ("nowhere", "key"))
    broker_of(store).upkeep(limit=10)
    ((member, score),) = outside.zrange(f"{prefix}celeriac:dead:key", 0, -1, withscores=True)
    head, _, raw = member.partition(b"\n")
    number, died, reason, step = json.loads(head)
    assert (number, score, step) == (1, 1.0, 0)
    assert died == pytest.approx(time.time(), abs=60)
    assert "No queue" in reason
    assert raw == stock_envelope(1)
    assert outside.hgetall(f"{prefix}celeriac:dead") == {b"key": b"1"}


def test_a_message_restored_twice_says_redelivered_once(store: Store, outside: Redis, prefix: str) -> None:
    broker_of(store).send([outgoing(1)])
    for _ in range(2):
        (held,) = receive(broker_of(store))
        outside.zadd(f"{prefix}unacked_index", {held.lease.tag: time.time() - 5000})
        broker_of(store).upkeep(limit=10)
    raw = outside.lindex(f"{prefix}q", 0)
    assert raw.count(b'"redelivered":true') == 2  # in the headers and in the delivery_info
    assert receive(broker_of(store))[0].message == message(1)


def test_the_binding_tables_are_written_as_stock_writes_them(store: Store, outside: Redis, prefix: str) -> None:
    spec = QueueSpec("letters", exchange="post", exchange_type="topic", routing_key="mail.*.out_box")
    broker_of(store).declare([spec, spec])
    entry = SEP.join((b"mail.*.out_box", rb"^mail\.[^\.]+\.out\_box$", b"letters"))
    assert outside.smembers(f"{prefix}_kombu.binding.post") == {entry}


def test_a_dead_letter_keeps_its_reason_and_its_envelope(store: Store, outside: Redis, prefix: str) -> None:
    outside.lpush(f"{prefix}q", b"no message at all")
    (held,) = receive(broker_of(store))
    broker_of(store).reject(leases([held]), reason='says "no"')
    (member,) = outside.zrange(f"{prefix}celeriac:dead:q", 0, -1)
    head, _, raw = member.partition(b"\n")
    assert json.loads(head)[2] == 'says "no"'
    assert raw == b"no message at all"


@pytest.mark.parametrize("priority", [0, 7])
def test_what_a_stock_worker_gave_back_twice_is_a_letter_that_starts_anew(
    store: Store, outside: Redis, prefix: str, priority: int
) -> None:
    marked = json.loads(stock_envelope(1, priority=priority))
    marked["headers"]["redelivered"] = True
    marked["properties"]["delivery_info"]["redelivered"] = True
    key = f"{prefix}q".encode() + (SEP + b"6" if priority else b"")
    outside.lpush(key, json.dumps(marked))
    (held,) = receive(broker_of(store))
    assert held.redelivered
    broker_of(store).reject(leases([held]), reason="no")
    assert store.dead_letters is not None
    (letter,) = store.dead_letters.page("q", limit=10)
    assert letter.redelivered
    store.dead_letters.requeue([letter.id])
    assert json.loads(outside.lindex(key, 0)) == json.loads(stock_envelope(1, priority=priority))


def test_a_letter_of_a_step_that_is_no_more_goes_to_the_next_lower_one(
    connect: Open, outside: Redis, redis_server: RedisServer, prefix: str
) -> None:
    before = connect(redis_server.url, transport_options={"global_keyprefix": prefix})
    broker_of(before).send([outgoing(1, priority=9)])
    broker_of(before).reject(leases(receive(broker_of(before))), reason="no")
    after = connect(redis_server.url, transport_options={"global_keyprefix": prefix, "priority_steps": [0, 5]})
    assert after.dead_letters is not None
    after.dead_letters.requeue([letter.id for letter in after.dead_letters.page("q", limit=1)])
    assert outside.llen(f"{prefix}q".encode() + SEP + b"5") == 1


def test_a_delayed_message_is_ready_at_once_while_no_node_is_alive(store: Store, outside: Redis, prefix: str) -> None:
    outside.delete(f"{prefix}celeriac:alive")
    broker_of(store).send([outgoing(1, after=time.time() + 500)])
    assert outside.llen(f"{prefix}q") == 1


def test_equal_delayed_messages_are_kept_apart(store: Store) -> None:
    same = outgoing(1, after=time.time() + 500)
    broker_of(store).send([same, same])
    broker_of(store).send([same])
    assert broker_of(store).stats(["q"])["q"].delayed == 3


def test_a_key_of_another_kind_loses_no_message(store: Store, outside: Redis, prefix: str) -> None:
    broker_of(store).send([outgoing(1), outgoing(2, queue="r")])
    outside.set(f"{prefix}r".encode() + SEP + b"3", "not a list")
    assert ids(receive(broker_of(store), "q", "r")) == ["1", "2"]
    assert outside.hlen(f"{prefix}unacked") == 2


def lose(outside: Redis, prefix: str, raw: bytes, route: tuple[str, str], *, age: float = 5000) -> None:
    """Note a delivery as a stock worker does, as old as it is when that worker died long ago."""
    outside.hset(f"{prefix}unacked", "tag-1", json.dumps([json.loads(raw), *route]))
    outside.zadd(f"{prefix}unacked_index", {"tag-1": time.time() - age})


def message_of(raw: bytes) -> object:
    from celeriac.wire import envelope

    return envelope.decode(raw).message


@pytest.mark.parametrize(
    "name", ['say "hi"', "back\\slash", 'ends with "', "ends with \\", 'a","","b', "q]", "\N{SNOWMAN}"]
)
def test_a_queue_may_have_signs_of_json_in_its_name(store: Store, outside: Redis, prefix: str, name: str) -> None:
    broker = broker_of(store)
    broker.send([outgoing(1, queue=name)])
    assert broker.requeue(leases(receive(broker, name))) == []
    (held,) = receive(broker, name, lease=0.01)
    assert ids([held]) == ["1"]
    while not broker.upkeep(limit=10).reclaimed:
        time.sleep(0.01)
    (again,) = receive(broker, name)
    assert (ids([again]), again.redelivered) == (["1"], True)
    assert broker.stats([name])[name].leased == 1
    assert broker.reject([again.lease], reason="no") == []
    assert broker.stats([name])[name].dead == 1
    (letter,) = outside.zrange(f"{prefix}celeriac:dead:{name}", 0, -1)
    assert letter.split(b"\n", 1)[1].startswith(b"{")


@pytest.mark.parametrize("names", [b'"","bad \\q"', b'"","bad \\" \\q"', b'"\\"'])
def test_an_entry_whose_names_are_no_json_becomes_a_dead_letter(
    store: Store, outside: Redis, prefix: str, names: bytes
) -> None:
    outside.hset(f"{prefix}unacked", "tag", b"[{}," + names + b"]")
    outside.zadd(f"{prefix}unacked_index", {"tag": 1.0})
    assert broker_of(store).upkeep(limit=10).reclaimed == 1
    assert outside.zcard(f"{prefix}celeriac:dead:") == 1


def test_a_follow_up_to_a_key_of_another_kind_leaves_the_held_message_as_it_was(
    store: Store, outside: Redis, prefix: str
) -> None:
    broker = broker_of(store)
    outside.hset(f"{prefix}theirs", "a", "b")
    broker.send([outgoing(1), outgoing(2)])
    first, second = receive(broker)
    for later in ({}, {"after": time.time() + 60}):
        follow_ups = {first.lease.tag: [outgoing(3)], second.lease.tag: [outgoing(4, queue="theirs", **later)]}
        with pytest.raises(BrokerError, match="another program uses a key of this name"):
            broker.ack([first.lease, second.lease], follow_ups=follow_ups)
    assert broker.stats(["q"])["q"].ready == 0
    assert broker.ack([first.lease, second.lease]) == []


def test_what_is_delayed_for_a_key_of_another_kind_is_refused_and_if_that_came_later_it_waits_and_holds_up_no_other(
    store: Store, outside: Redis, prefix: str
) -> None:
    broker, soon = broker_of(store), time.time() + 0.2
    broker.send([outgoing(1, queue="theirs", after=soon), outgoing(2, after=soon)])
    outside.hset(f"{prefix}theirs", "a", "b")
    with pytest.raises(BrokerError, match="another program uses a key of this name"):
        broker.send([outgoing(3, queue="theirs", after=soon)])
    eventually(lambda: broker.upkeep(limit=10).promoted == 1)
    assert broker.upkeep(limit=10).next_due is None
    assert ids(receive(broker)) == ["2"]
    outside.delete(f"{prefix}theirs")
    assert broker.upkeep(limit=10).promoted == 1
    assert ids(receive(broker, "theirs")) == ["1"]


@pytest.mark.parametrize("order", [("strange", "good"), ("good", "strange")])
def test_a_queue_whose_key_holds_something_else_keeps_no_other_from_being_received(
    store: Store, outside: Redis, prefix: str, order: tuple[str, str]
) -> None:
    broker = broker_of(store)
    outside.set(f"{prefix}strange", "another program's")
    broker.send([outgoing(1, queue="good"), outgoing(2, queue="good")])
    for wait, expected in ((0.0, "1"), (1.0, "2")):
        assert ids(broker.receive(order, Terms(limit=1, lease=30.0, owner="one"), wait=wait)) == [expected]
    with pytest.raises(BrokerError, match="another program uses a key of this name"):
        receive(broker, *order)
    assert outside.get(f"{prefix}strange") == b"another program's"
