"""Handing messages to the broker within a bounded time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.exceptions import BrokerError, BrokerUnavailable, SendIncomplete
from celeriac.interfaces.broker import Broker, Nonce, Outgoing
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import drain, outgoing
from celeriac.testing.faults import BrokerBefore, Fault, FaultSchedule, FaultyBroker


class Failing(BrokerBefore):
    """A broker that fails as scripted: each entry is an error to raise, or how many messages to let pass first."""

    def __init__(self, inner: Broker, clock: FakeClock, script: Sequence[BrokerError | int], *, takes: float = 0.0):
        super().__init__(inner)
        self._clock = clock
        self._script = list(script)
        self._takes = takes
        self.calls: list[float] = []
        self.nonces: list[Nonce | None] = []

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        self.calls.append(self._clock.monotonic())
        self.nonces.append(nonce)
        self._clock.advance(self._takes)
        fault = self._script.pop(0) if self._script else None
        if isinstance(fault, int):
            self._inner.send(outgoing[:fault])
            raise SendIncomplete("stored in part", unsent=range(fault, len(outgoing)))
        if fault is not None:
            raise fault
        self._inner.send(outgoing)


@pytest.fixture
def down() -> list[BrokerError]:
    return [BrokerUnavailable("refused")] * 100


def publisher(broker: Broker, clock: FakeClock, **policy: object) -> Publisher:
    return Publisher(lambda: broker, policy=PublishPolicy(**policy), clock=clock)


def test_a_send_that_fails_is_tried_again_after_growing_pauses(spine, down):
    broker = Failing(spine.app.broker, spine.clock, down[:3])
    publisher(broker, spine.clock).send([outgoing(1)])
    assert broker.calls == pytest.approx([0.0, 0.0, 0.2, 0.6])
    assert drain(spine.app.broker) == [1]


def test_after_the_last_try_the_error_says_where_how_often_and_why(spine, down):
    down[0].__cause__ = reason = OSError("refused by the kernel")
    broker = Failing(spine.app.broker, spine.clock, down)
    with pytest.raises(BrokerUnavailable, match=r"^Not sent to memory://\w+ after 4 tries: refused$") as raised:
        publisher(broker, spine.clock).send([outgoing(1)])
    assert raised.value.__cause__ is reason
    assert len(broker.calls) == 4


def test_all_tries_together_stay_within_the_budget(spine, down):
    broker = Failing(spine.app.broker, spine.clock, down, takes=1.5)
    with pytest.raises(BrokerUnavailable, match="after 3 tries"):
        publisher(broker, spine.clock, max_retries=None).send([outgoing(1)])
    assert spine.clock.monotonic() <= 4.0 + 1.5


def test_no_limit_of_tries_is_bounded_by_the_budget_alone(spine, down):
    broker = Failing(spine.app.broker, spine.clock, down)
    with pytest.raises(BrokerUnavailable):
        publisher(broker, spine.clock, max_retries=None).send([outgoing(1)])
    assert spine.clock.monotonic() <= 4.0
    assert len(broker.calls) > 4


def test_only_what_the_broker_has_not_is_sent_again(spine):
    broker = Failing(spine.app.broker, spine.clock, [2, 1])
    publisher(broker, spine.clock).send([outgoing(n) for n in range(5)])
    assert drain(spine.app.broker) == [0, 1, 2, 3, 4]


def test_a_batch_that_was_stored_in_part_names_the_rest_by_its_place(spine, down):
    broker = Failing(spine.app.broker, spine.clock, [2, 1, *down])
    with pytest.raises(SendIncomplete) as raised:
        publisher(broker, spine.clock).send([outgoing(n) for n in range(5)])
    assert raised.value.unsent == (3, 4)
    assert drain(spine.app.broker) == [0, 1, 2]


def test_a_batch_of_which_nothing_was_stored_is_named_whole(spine):
    broker = Failing(spine.app.broker, spine.clock, [0, 0, 0, 0])
    with pytest.raises(SendIncomplete) as raised:
        publisher(broker, spine.clock).send([outgoing(n) for n in range(3)])
    assert raised.value.unsent == (0, 1, 2)


@pytest.mark.parametrize("fault", Fault)
def test_every_message_arrives_at_least_once_through_lost_connections(spine, fault):
    broker = FaultyBroker(spine.app.broker, FaultSchedule(fault, every=2))
    sender = publisher(broker, spine.clock, max_retries=None)
    for n in range(50):
        sender.send([outgoing(n)])
    assert set(drain(spine.app.broker)) == set(range(50))


# -- policies ---------------------------------------------------------------------------------------------------------


def test_a_caller_may_forbid_further_tries(spine, down):
    broker = Failing(spine.app.broker, spine.clock, down)
    sender = publisher(broker, spine.clock)
    with pytest.raises(BrokerUnavailable, match="after 1 try:"):
        sender.send([outgoing(1)], policy=sender.policy(retry=False, changes=None))


def test_a_caller_may_change_a_part_of_the_policy(spine):
    sender = publisher(spine.app.broker, spine.clock)
    changed = sender.policy(retry=True, changes={"max_retries": 7, "interval_start": 1, "errback": print})
    assert changed == PublishPolicy(max_retries=7, interval_start=1.0)


def test_a_policy_that_cannot_be_is_an_error_that_shows_it(spine):
    with pytest.raises(ValueError, match=r"retry_policy=\{'max_retries': 'often'\} cannot be used"):
        publisher(spine.app.broker, spine.clock).policy(retry=None, changes={"max_retries": "often"})


@pytest.mark.parametrize(("attempt", "pause"), [(0, 0.0), (1, 0.2), (4, 0.8), (5, 1.0), (50, 1.0)])
def test_pauses_grow_by_steps_up_to_the_longest(attempt, pause):
    assert PublishPolicy().pause(attempt) == pytest.approx(pause)


def test_the_policy_is_made_of_the_settings(make_spine):
    spine = make_spine(broker_publish_timeout=9.0, task_publish_retry_policy={"max_retries": 1})
    unchanged = spine.app.publisher.policy(retry=None, changes=None)
    assert (unchanged.budget, unchanged.max_retries, unchanged.interval_step) == (9.0, 1, 0.2)
    never = make_spine(task_publish_retry=False)
    assert never.app.publisher.policy(retry=None, changes=None).max_retries == 0


def numbers(broker: Failing) -> list[int]:
    assert len({nonce.sender for nonce in broker.nonces if nonce}) == 1
    return [nonce.number for nonce in broker.nonces if nonce]


def test_a_repeated_send_bears_the_same_number_and_another_send_a_larger_one(spine, down):
    broker = Failing(spine.app.broker, spine.clock, down[:2])
    sending = publisher(broker, spine.clock)
    sending.send([outgoing(1)])
    sending.send([outgoing(2)])
    assert numbers(broker) == [1, 1, 1, 2]


def test_what_was_refused_is_sent_again_as_another_send(spine):
    broker = Failing(spine.app.broker, spine.clock, [1, BrokerUnavailable("cut")])
    publisher(broker, spine.clock).send([outgoing(n) for n in range(3)])
    assert numbers(broker) == [1, 2, 2]


def test_a_send_within_another_is_told_from_it(spine):
    class Nested(Failing):
        def send(self, outgoing_: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
            super().send(outgoing_, nonce=nonce)
            if len(self.nonces) == 1:  # as a signal's handler would, in the middle of the first
                sending.send([outgoing(2)])

    broker = Nested(spine.app.broker, spine.clock, [])
    sending = publisher(broker, spine.clock)
    sending.send([outgoing(1)])
    assert len({nonce.sender for nonce in broker.nonces if nonce}) == 2


def test_a_forked_child_sends_under_another_name(spine):
    broker = Failing(spine.app.broker, spine.clock, [])
    sending = publisher(broker, spine.clock)
    sending.send([outgoing(1)])
    sending.forget_parent()
    sending.send([outgoing(2)])
    assert len({nonce.sender for nonce in broker.nonces if nonce}) == 2
