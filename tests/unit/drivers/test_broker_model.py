"""The stores that need no server, against a model of the broker contract: any order of calls, the same answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from celeriac.drivers import load
from celeriac.drivers.memory import store as memory
from celeriac.interfaces.broker import Broker, Lease, Outgoing, QueueStats, Route, Terms
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.wire.message import Message

QUEUES = ("a", "b")
LEASE = 10.0

Held = tuple[Lease, Lease]
"""The same message's leases in the two stores."""


class BrokerModel(RuleBasedStateMachine):
    """Sends, receives and settles on both stores at once; the model is where each message should be."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = FakeClock()
        memory.reset("model")
        self.brokers = [self.open("memory://model"), self.open(f"sqlite:///{self.folder}/model.db")]
        self.count = 0
        self.place: dict[int, str] = {}
        self.queue: dict[int, str] = {}
        self.due: dict[int, float] = {}
        self.until: dict[Lease, tuple[int, float]] = {}

    def open(self, url: str) -> Broker:
        broker = load(url, StoreOptions(clock=self.clock)).broker
        assert broker is not None
        return broker

    def teardown(self) -> None:
        for broker in self.brokers:
            broker.close()
        shutil.rmtree(self.folder)

    @rule(
        queue=st.sampled_from(QUEUES),
        priorities=st.lists(st.sampled_from([None, 0, 5, 9]), min_size=1, max_size=4),
        delay=st.sampled_from([None, 0.0, 5.0]),
    )
    def send(self, queue: str, priorities: list[int | None], delay: float | None) -> None:
        batch = []
        for priority in priorities:
            self.count += 1
            self.place[self.count] = "delayed" if delay else "ready"
            due = None if delay is None else self.clock.now() + delay
            self.queue[self.count] = queue
            self.due[self.count] = due or 0.0
            batch.append(Outgoing(Route(queue), Message({"n": self.count}, b"[]"), priority, due))
        for broker in self.brokers:
            broker.send(batch)

    @rule(target=held, queues=st.permutations(QUEUES), limit=st.integers(1, 4))
    def receive(self, queues: Sequence[str], limit: int) -> object:
        first, second = (
            broker.receive(queues, Terms(limit=limit, lease=LEASE, owner="model"), wait=0.0) for broker in self.brokers
        )
        assert [d.message for d in first] == [d.message for d in second]
        assert [d.redelivered for d in first] == [d.redelivered for d in second]
        pairs: list[Held] = []
        for one, other in zip(first, second, strict=True):
            assert isinstance(one.message, Message)
            number = one.message.headers["n"]
            assert self.place[number] == "ready"
            self.place[number] = "leased"
            self.until[one.lease] = number, self.clock.now() + LEASE
            pairs.append((one.lease, other.lease))
        return multiple(*pairs)

    @rule(leases=held, how=st.sampled_from(["ack", "ack", "requeue", "delay", "reject", "extend"]))
    def settle(self, leases: Held, how: str) -> None:
        calls = {
            "ack": lambda broker, lease: broker.ack([lease]),
            "requeue": lambda broker, lease: broker.requeue([lease]),
            "delay": lambda broker, lease: broker.requeue([lease], delay=3.0),
            "reject": lambda broker, lease: broker.reject([lease], reason="model"),
            "extend": lambda broker, lease: broker.extend([lease], lease=LEASE),
        }
        lost = [bool(calls[how](broker, lease)) for broker, lease in zip(self.brokers, leases, strict=True)]
        is_held = leases[0] in self.until
        assert lost == [not is_held, not is_held]
        if not is_held:
            return
        number, _ = self.until.pop(leases[0])
        self.due[number] = self.clock.now() + 3.0
        if how == "extend":
            self.until[leases[0]] = number, self.clock.now() + LEASE
            return
        self.place[number] = {"ack": "gone", "requeue": "ready", "delay": "delayed", "reject": "dead"}[how]

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        first, second = (broker.upkeep(limit=1000) for broker in self.brokers)
        assert first == second
        for lease, (number, until) in list(self.until.items()):
            if until <= self.clock.now():
                del self.until[lease]
                self.place[number] = "ready"
        for number, place in self.place.items():
            if place == "delayed" and self.due[number] <= self.clock.now():
                self.place[number] = "ready"

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        before = self.brokers[0].stats(QUEUES)
        removed = [broker.purge(queue) for broker in self.brokers]
        assert removed == [before[queue].ready + before[queue].delayed] * 2
        for number, place in self.place.items():
            if self.queue[number] == queue and place in ("ready", "delayed"):
                self.place[number] = "gone"

    @invariant()
    def both_count_alike(self) -> None:
        first, second = (broker.stats(QUEUES) for broker in self.brokers)
        assert {q: _without_age(s) for q, s in first.items()} == {q: _without_age(s) for q, s in second.items()}
        for state in ("ready", "delayed", "leased", "dead"):
            expected = sum(place == state for place in self.place.values())
            assert sum(getattr(stats, state) for stats in first.values()) == expected, state


def _without_age(stats: QueueStats) -> tuple[int, int, int, int]:
    return stats.ready, stats.delayed, stats.leased, stats.dead


TestBrokerModel = BrokerModel.TestCase
TestBrokerModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
