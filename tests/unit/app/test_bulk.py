"""Many calls at once."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from celeriac import Task
from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.exceptions import BrokerError, BrokerUnavailable, EncodeError, SendIncomplete
from celeriac.interfaces.broker import Nonce, Outgoing
from celeriac.testing.faults import BrokerBefore
from celeriac.wire import tasks as wire
from celeriac.wire.content import accepted
from tests.unit.spine import Spine


class EndsAfter(BrokerBefore):
    """A broker that stores so many messages, and then no more."""

    room = 0

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        fits, self.room = outgoing[: self.room], max(0, self.room - len(outgoing))
        if not fits and outgoing:
            raise BrokerUnavailable("full")
        self._inner.send(fits)
        if len(fits) < len(outgoing):
            raise SendIncomplete("full", unsent=range(len(fits), len(outgoing)))


@pytest.fixture
def add(spine: Spine) -> Task[..., int]:
    return spine.app.task(name="add")(lambda x, y=0: x + y)


def limit(spine: Spine, room: int) -> None:
    """Make the application send through a broker that has room for so many messages."""
    broker = EndsAfter(spine.app.broker)
    broker.room = room
    spine.app.publisher = Publisher(lambda: broker, policy=PublishPolicy(max_retries=0), clock=spine.clock)


def arguments(spine: Spine) -> list[object]:
    calls = (wire.decode(delivery.message, accept=accepted(["json"])) for delivery in spine.taken())
    return [(list(call.args), dict(call.kwargs)) for call in calls]


def test_delay_many_sends_one_task_for_each_tuple_in_order(spine, add):
    results = add.delay_many((n,) for n in range(1100))
    assert len({result.id for result in results}) == 1100
    sent = [delivery for _ in range(2) for delivery in spine.taken()]
    assert [delivery.message.headers["id"] for delivery in sent] == [result.id for result in results]


def test_apply_async_many_takes_keywords_and_one_set_of_options(spine, add):
    add.apply_async_many([((1,), {"y": 2}), ((3,), {})], headers={"bulk": 1})
    assert arguments(spine) == [([1], {"y": 2}), ([3], {})]


def test_no_calls_are_no_error(add):
    assert add.delay_many([]) == []


def test_one_wrong_call_is_an_error_before_any_is_sent(spine, add):
    with pytest.raises(TypeError, match="too many positional"):
        add.delay_many([(1,), (2,), (1, 2, 3)])
    assert not spine.taken()


@pytest.mark.parametrize(("room", "total"), [(3, 10), (500, 1200), (700, 1200), (1000, 1200), (1, 2)], ids=str)
def test_a_broker_that_took_a_part_is_an_error_that_names_every_call_that_it_has_not(spine, add, room, total):
    limit(spine, room)
    with pytest.raises(SendIncomplete, match="full") as raised:
        add.delay_many((n,) for n in range(total))
    assert raised.value.unsent == tuple(range(room, total))


def test_a_broker_that_took_nothing_is_the_plain_error(spine, add):
    limit(spine, 0)
    with pytest.raises(BrokerError) as raised:
        add.delay_many((n,) for n in range(600))
    assert type(raised.value) is BrokerUnavailable


def test_arguments_that_cannot_be_written_tell_how_much_was_sent(spine, add):
    with pytest.raises(EncodeError) as raised:
        add.delay_many([*((n,) for n in range(700)), (object(),)])
    assert raised.value.__notes__ == ["500 of 701 calls were sent before."]
    assert len(spine.taken()) == 500


def test_a_bulk_send_may_have_a_policy_of_its_own(spine, add):
    results = add.apply_async_many([((1,), {})], retry=False, retry_policy={"max_retries": 9})
    assert len(results) == 1


def test_what_is_sent_in_bulk_inside_a_run_is_a_child(spine, add):
    noted = SimpleNamespace(ids=[])

    @spine.app.task(name="parent")
    def parent() -> None:
        noted.ids = [result.id for result in add.delay_many([(1,), (2,)])]

    result = parent.delay()
    spine.run()
    assert [child.id for child in result.children] == noted.ids
