"""What moves to a queue of its holder, and the answer to the move gets lost: one copy is held, and none is left."""

from __future__ import annotations

import time

import pytest

from celeriac.drivers.rabbitmq import parking
from celeriac.drivers.rabbitmq.errors import NoAnswer
from celeriac.exceptions import BrokerError
from celeriac.testing.conformance.samples import QUEUE, drain, eventually, receive, send

QUIET = 2.0


@pytest.fixture
def late_answers(monkeypatch):
    """Numbers of the moves, from 0, whose confirmation does not come in time though the copy is there."""
    late: set[int] = set()
    publish, moves = parking.publish, iter(range(1000))

    def published(sending, posts):
        confirmed = publish(sending, posts)
        if next(moves) in late:
            raise NoAnswer("the copy was not confirmed in time")
        return confirmed

    monkeypatch.setattr(parking, "publish", published)
    return late


def held_in_all(node, url: str) -> int:
    return sum(sum(count) for count in node.counts(url.rpartition("/")[2]).values())


def test_a_copy_whose_confirmation_was_late_is_dropped_by_the_next_move(broker, node, url, late_answers):
    late_answers.update({0, 1})
    send(broker, 1)
    (delivery,) = receive(broker)
    for _ in late_answers:
        with pytest.raises(BrokerError, match="not confirmed in time"):
            broker.brace(delivery.lease)
    assert broker.brace(delivery.lease)
    eventually(lambda: held_in_all(node, url) == 1)
    assert broker.ack([delivery.lease]) == []
    eventually(lambda: held_in_all(node, url) == 0)
    broker.close()
    assert drain(broker, QUEUE) == []


def test_a_copy_that_no_move_follows_is_dropped_by_and_by(open_store, node, url, late_answers):
    late_answers.add(0)
    broker = open_store(f"{url}?heartbeat=1").broker
    send(broker, 1)
    (delivery,) = receive(broker)
    with pytest.raises(BrokerError, match="not confirmed in time"):
        broker.brace(delivery.lease)
    assert broker.ack([delivery.lease]) == []
    time.sleep(QUIET)  # a connection is looked after four times in a heartbeat
    broker.close()
    time.sleep(QUIET)  # what was held would be back by now
    assert held_in_all(node, url) == 0


def test_a_queue_of_a_holder_that_was_deleted_is_made_anew(broker, node, url):
    send(broker, 1, 2)
    first, second = receive(broker)
    assert broker.brace(first.lease)
    vhost = url.rpartition("/")[2]
    (held,) = (name for name in node.counts(vhost) if name.startswith(parking.EXCHANGE))
    resource = f'{{resource, <<"{vhost}">>, queue, <<"{held}">>}}'
    found = f"element(2, rpc:call('{node.name}', rabbit_amqqueue, lookup, [{resource}]))"
    node.call("rabbit_amqqueue", "delete", f'{found}, false, false, <<"tests">>')

    def is_moved() -> bool:
        try:
            return broker.brace(second.lease)
        except BrokerError:  # that it is gone is not known yet
            return False

    eventually(is_moved)
    assert broker.ack([second.lease]) == []
    eventually(lambda: held_in_all(node, url) == 0)
