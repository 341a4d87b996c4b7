"""The broker: messages on Celery's lists, held in Celery's hash of unacknowledged messages under leases of our own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import msgspec

from celeriac.drivers.redis import bindings
from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.deliveries import queue_of
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.receiving import Receiver
from celeriac.drivers.redis.revocations import Heard
from celeriac.drivers.redis.scripts import EXTEND, PROMOTE, PURGE, RECLAIM, REJECT, REQUEUE, STATS
from celeriac.drivers.redis.sending import Sender
from celeriac.drivers.redis.settling import PER_SCRIPT, Settling, parts_of, tags_of
from celeriac.drivers.redis.wire import Reply
from celeriac.exceptions import ImproperlyConfigured
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import (
    BrokerCapabilities,
    Delivery,
    Lease,
    Nonce,
    Outgoing,
    QueueSpec,
    QueueStats,
    Terms,
    Upkeep,
)
from celeriac.interfaces.results import ResultRecord

__all__ = ["RedisBroker"]

_VISIBILITY_TIMEOUT: Final = 3600.0  # kombu's default, in seconds
_ALIVE: Final = 60  # seconds that a node counts as alive after its last upkeep
_HELD_LOOKED_AT: Final = 20_000  # entries that `stats` reads through


class RedisBroker:
    """Celery's queues on Redis or Valkey, with leases, delays and dead letters. Implements `Broker`."""

    def __init__(self, client: Client, options: Mapping[str, Any], heard: Heard) -> None:
        self._client = client
        self._keys = keys = Keys(options)
        self._visibility_timeout = _visibility_timeout(options.get("visibility_timeout") or _VISIBILITY_TIMEOUT)
        self._sender = Sender(client, keys)
        self._settling = Settling(keys, self._sender, options)
        self._receiver = Receiver(client, keys, self._visibility_timeout, heard)
        self._say_alive_at = 0.0  # by `time.monotonic`
        self._capabilities = BrokerCapabilities(
            priorities=len(keys.steps), most_urgent="lowest", needs_watch=True, stores_results=True
        )
        after_fork_in_child(self)

    @property
    def capabilities(self) -> BrokerCapabilities:
        return self._capabilities

    @property
    def location(self) -> str:
        return self._client.location

    def connect(self) -> None:
        self._client.one(("PING",), doing="connecting")

    def close(self) -> None:
        self._receiver.close()
        self._client.pool.close()

    def check_queue(self, name: str) -> None:
        self._keys.queue(name)

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        """Write Celery's binding tables, by which stock clients and workers find the way to a queue."""
        commands: list[Command] = []
        for spec in queues:
            self.check_queue(spec.name)
            exchange, member = bindings.table_entry(spec, self._keys.separator)
            commands.append(("SADD", self._keys.binding + exchange, member))
            commands.append(("SADD", self._keys.binding_permanent + exchange, member))
        if commands:
            self._client.all(commands, doing=f"declaring {', '.join(spec.name for spec in queues)}")

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        self._sender.send(outgoing, nonce)

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        return self._receiver.receive(queues, terms, wait=wait)

    def ack_and_receive(
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        if len(leases) > PER_SCRIPT or len(results) > PER_SCRIPT or self._receiver.unanswered:
            lost = self.ack(leases, follow_ups=follow_ups, results=results)
            return lost, self._receiver.receive(queues, terms, wait=0)
        if terms.waits and not follow_ups and self._receiver.is_at_rest and (leases or results):
            places = self._receiver.settle(self._settling.one(leases, results), queues)
            return [leases[place] for place in places] if places else [], []
        if follow_ups or results:
            places, deliveries = self._receiver.settle_and_receive(
                self._settling.done(leases, follow_ups, results, queues), queues, terms
            )
        else:
            places, deliveries = self._receiver.ack_and_receive(tags_of(leases), queues, terms)
        return [leases[place] for place in places], deliveries

    def interrupt(self) -> None:
        self._receiver.interrupt()

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:
        return self._receiver.watch(queues, wait=wait)

    def rely_on_watch(self) -> None:
        self._receiver.rely_on_watch()

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        score = self._client.now() + lease - self._visibility_timeout
        parts = [
            (part, call_script(EXTEND, (self._keys.unacked_index,), (score, *tags_of(part))))
            for part in parts_of(leases)
        ]
        return self._settle(parts, doing="renewing leases")

    def ack(
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> Sequence[Lease]:
        if results and max(len(leases), len(results)) > PER_SCRIPT:  # more than a script: first all the results, then
            for start in range(0, len(results), PER_SCRIPT):
                self._settle(self._settling.ack((), None, results[start : start + PER_SCRIPT]), doing="storing results")
            results = ()
        return self._settle(self._settling.ack(leases, follow_ups, results), doing="acknowledging messages")

    def requeue(self, leases: Sequence[Lease], *, delay: float = 0.0, redelivered: bool = False) -> Sequence[Lease]:
        due: str | float = self._client.now() + delay if delay > 0 else ""
        groups: dict[tuple[str, int], list[Lease]] = {}
        for lease in leases:
            groups.setdefault((lease.queue, self._keys.step_of_tag(lease.tag)), []).append(lease)
        parts: list[tuple[Sequence[Lease], Command]] = []
        for (name, place), members in groups.items():
            queue = self._keys.queue(name)
            names = self._held(queue.lists[place], queue.bell, queue.delayed, self._keys.delayed_names)
            # The last part is given back first, so that the first of all ends up first in line.
            for part in reversed(list(parts_of(members))):
                arguments = (name, self._keys.steps[place], due, self._sender.nonce(), int(redelivered), *tags_of(part))
                parts.append((part, call_script(REQUEUE, names, arguments)))
        return self._settle(parts, doing="giving messages back")

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        now, text = self._client.now(), msgspec.json.encode(reason)
        groups: dict[str, list[Lease]] = {}
        for lease in leases:
            groups.setdefault(lease.queue, []).append(lease)
        parts = [
            (part, call_script(REJECT, self._dying(name), (name, now, text, *self._steps(part))))
            for name, members in groups.items()
            for part in parts_of(members)
        ]
        return self._settle(parts, doing="moving messages to the dead letters")

    def take_custody(self) -> str:
        """Return nothing: leases can be settled by anybody."""
        return ""

    def entrust(self, custodian: str) -> None:
        """Do nothing: see `take_custody`."""

    def held_by(self, owner: str) -> Sequence[Lease]:
        doing = "looking for what a dead engine held"
        pattern, tags, cursor = bindings.escaped(f"cel:{owner}:") + "*", set[bytes](), b"0"
        while True:
            scan = ("ZSCAN", self._keys.unacked_index, cursor, "MATCH", pattern, "COUNT", 5000)
            cursor, found = self._client.one(scan, doing=doing)
            tags.update(found[::2])
            if int(cursor) == 0:
                break
        names = sorted((tag.decode() for tag in tags), key=_place)
        entries = self._client.one(("HMGET", self._keys.unacked, *names), doing=doing) if names else ()
        return [Lease(queue_of(entry), tag) for tag, entry in zip(names, entries, strict=True) if entry is not None]

    def brace(self, lease: Lease) -> bool:  # noqa: ARG002  the contract's
        """Return True: who died is told here, and the core counts."""
        return True

    def upkeep(self, *, limit: int) -> Upkeep:
        """See `Broker.upkeep`. It also tells producers that a node of ours is alive, for the next minute.

        While nothing is delayed and nothing held it is one command.
        """
        keys, now = self._keys, self._client.now()
        if not self._has_upkeep():
            return Upkeep(promoted=0, reclaimed=0, next_due=None)
        promote = call_script(
            PROMOTE, (keys.delayed_names, keys.alive), (now, limit, _ALIVE, keys.prefix, keys.separator)
        )
        reclaim = call_script(
            RECLAIM,
            self._held(self._keys.dead_numbers),
            (now - self._visibility_timeout, limit, keys.prefix, keys.separator, now, *keys.steps),
        )
        (promoted, due), (reclaimed, lowest) = self._client.all((promote, reclaim), doing="doing the upkeep")
        self._say_alive_at = time.monotonic() + _ALIVE / 2
        moments = [float(due)] if due else []
        if lowest:
            moments.append(float(lowest) + self._visibility_timeout)
        next_due = self._client.local_time(min(moments)) if moments else None
        return Upkeep(promoted=promoted, reclaimed=reclaimed, next_due=next_due, leaves_delayed=bool(due))

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        commands = []
        for name in queues:
            queue = self._keys.queue(name)
            names = (self._keys.unacked, queue.delayed, queue.dead, *queue.lists)
            commands.append(call_script(STATS, names, (name, _HELD_LOOKED_AT)))
        replies = self._client.all(commands, doing="counting messages") if commands else []
        return {
            name: QueueStats(ready=ready, delayed=delayed, leased=leased, dead=dead)
            for name, (ready, delayed, leased, dead) in zip(queues, replies, strict=True)
        }

    def queues(self) -> Sequence[str]:
        """Return the queues that were sent to, and those in binding tables. Walks all keys of the database."""
        doing = "listing queues"
        names = {name.decode() for name in self._client.one(("SMEMBERS", self._keys.queue_names), doing=doing)}
        cursor: Reply = 0
        while True:
            scan = ("SCAN", cursor, "MATCH", bindings.escaped(self._keys.binding) + "*", "COUNT", 5000)
            cursor, tables = self._client.one(scan, doing=doing)
            for members in self._client.all([("SMEMBERS", table) for table in tables], doing=doing) if tables else ():
                names.update(member.decode().split(self._keys.separator)[-1] for member in members)
            if int(cursor) == 0:
                return sorted(filter(self._keys.is_free, names))

    def purge(self, queue: str) -> int:
        keys = self._keys.queue(queue)
        names = (keys.delayed, self._keys.delayed_names, keys.bell, *keys.lists)
        removed: int = self._client.one(call_script(PURGE, names, (queue,)), doing=f"purging {queue!r}")
        return removed

    def forget_parent(self) -> None:
        """Begin anew after a fork."""
        self._say_alive_at = 0.0
        self._sender.forget_parent()
        self._receiver.forget_parent()

    def _has_upkeep(self) -> bool:
        commands: list[Command] = [("EXISTS", self._keys.delayed_names, self._keys.unacked_index)]
        if time.monotonic() >= self._say_alive_at:
            commands.append(("SET", self._keys.alive, "1", "EX", _ALIVE))
        found = self._client.all(commands, doing="doing the upkeep")
        if len(commands) > 1:
            self._say_alive_at = time.monotonic() + _ALIVE / 2
        return bool(found[0])

    def _held(self, *more: str) -> tuple[str, ...]:
        return (self._keys.unacked, self._keys.unacked_index, *more)

    def _dying(self, queue: str) -> tuple[str, ...]:
        return self._held(self._keys.queue(queue).dead, self._keys.dead_numbers)

    def _steps(self, leases: Sequence[Lease]) -> Iterator[str | int]:
        """Yield tag and priority step of each lease."""
        for lease in leases:
            yield lease.tag
            yield self._keys.steps[self._keys.step_of_tag(lease.tag)]

    def _settle(self, parts: Sequence[tuple[Sequence[Lease], Command]], *, doing: str) -> list[Lease]:
        """Run the scripts, each for a part of the leases, and return those that they name as lost."""
        if not parts:
            return []
        replies = self._client.all([command for _, command in parts], doing=doing)
        return [part[place] for (part, _), lost in zip(parts, replies, strict=True) for place in lost]


def _place(tag: str) -> tuple[str, int]:
    """Return what sorts tags of ours by the order of their claims and, within one, of its messages."""
    claim, _, number = tag.rpartition(":")[0].rpartition(".")
    return claim, int(number)


def _visibility_timeout(value: Any) -> float:
    if not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ImproperlyConfigured(f"visibility_timeout must be a number of seconds above 0, not {value!r}.")
    return float(value)
