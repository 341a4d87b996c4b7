"""Results under Celery's keys, each write told on a channel of the same name, as Celery does."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.ear import Ear, Waiter
from celeriac.drivers.redis.errors import WireError
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.scripts import STORE_RESULTS
from celeriac.drivers.redis.settling import kept_for
from celeriac.exceptions import CeleriacError
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES
from celeriac.wire.results import state_of

__all__ = ["RedisResults"]

_PER_TRIP: Final = 1000  # results
_PATIENT: Final = 4.0  # seconds; who waits longer than that may wait as long for an answer as everybody does
_LEAST_PATIENCE: Final = 1.0  # seconds; a server with work to do may well take some, and who looks once wants an answer
_ENDS: Final = tuple(
    form % state.encode() for state in READY_STATES for form in (b'{"status":"%b"', b'{"status": "%b"')
)
"""How the payloads of nearly all results of tasks that have ended begin: ours and those of stock Celery."""
_STATUS: Final = re.compile(rb"status[^\w]*(\w+)")


class RedisResults:
    """Task results in Redis or Valkey. Implements `ResultBackend`."""

    mailbox: Final = None

    def __init__(self, client: Client, options: Mapping[str, Any]) -> None:
        self._client = client
        self._prefix = Keys.of_results(options)
        self._ear = Ear(client.pool, is_wanted=_is_end, look=self._look)

    @property
    def location(self) -> str:
        return self._client.location

    def connect(self) -> None:
        self._client.one(("PING",), doing="connecting")

    def close(self) -> None:
        self._ear.close()
        self._client.pool.close()

    def store(self, records: Sequence[ResultRecord]) -> None:
        for start in range(0, len(records), _PER_TRIP):
            part = records[start : start + _PER_TRIP]
            by_ttl: dict[float | None, list[ResultRecord]] = {}
            for record in part:
                by_ttl.setdefault(record.ttl, []).append(record)
            commands = [self._store_command(ttl, same) for ttl, same in by_ttl.items()]
            self._client.all(commands, doing=f"storing the results of {_ids([r.task_id for r in part])}")

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._fetch(ids)

    def _fetch(self, ids: Sequence[str], patience: float | None = None) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for start in range(0, len(ids), _PER_TRIP):
            part = ids[start : start + _PER_TRIP]
            command = ("MGET", *map(self._prefix.__add__, part))
            payloads = self._client.look(command, doing=f"reading the results of {_ids(part)}", patience=patience)
            found |= {task_id: raw for task_id, raw in zip(part, payloads, strict=True) if raw is not None}
        return found

    def listen(self, ids: Sequence[str] = ()) -> RedisListener:
        return RedisListener(self, self._client, self._ear, self._prefix, ids)

    def ends(self, ids: Sequence[str], *, timeout: float) -> dict[str, bytes]:
        """Return the payloads of those that have ended, by id, for one who has so many seconds."""
        patience = None if timeout >= _PATIENT else max(_LEAST_PATIENCE, timeout)
        found = self._fetch(ids, patience)
        for task_id, raw in list(found.items()):
            if not _is_end(raw):
                del found[task_id]
        return found

    def forget(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _PER_TRIP):
            part = ids[start : start + _PER_TRIP]
            self._client.one(("UNLINK", *(self._prefix + i for i in part)), doing=f"forgetting {_ids(part)}")

    def sweep(self, *, limit: int) -> int:  # noqa: ARG002  the server ends results by itself
        return 0

    def _look(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        payloads: Sequence[bytes | None] = self._client.look(("MGET", *keys), doing="looking for results")
        return payloads

    def _store_command(self, ttl: float | None, records: Sequence[ResultRecord]) -> Command:
        keys = [self._prefix + record.task_id for record in records]
        arguments: list[str | bytes | float] = [kept_for(ttl)]
        for record in records:
            arguments += (record.payload, "1" if record.state in READY_STATES else "0")
        return call_script(STORE_RESULTS, keys, arguments)


class RedisListener:
    """One who waits, by the ear that all share. Implements `ResultListener`."""

    def __init__(self, results: RedisResults, client: Client, ear: Ear, prefix: str, ids: Sequence[str]) -> None:
        self._results = results
        self._client = client
        self._ear = ear
        self._prefix = prefix
        self._first = ids
        self._guard_opening = threading.Lock()
        self._waiter: Waiter | None = None  # many a one finds by its first look what it came for

    def add(self, ids: Collection[str]) -> None:
        self._ear.join(self._opened(), [self._prefix + task_id for task_id in ids])

    def discard(self, ids: Collection[str]) -> None:
        self._ear.part(self._opened(), [self._prefix + task_id for task_id in ids])

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        until = time.monotonic() + timeout
        first, self._first = self._first, ()
        if first and (timeout <= 0 or (len(first) == 1 and self._ear.should_look_first)):
            ends = self._results.ends(first, timeout=timeout)
            if ends:
                return ends
        if first:
            self.add(first)
        try:
            heard = self._ear.hear(self._opened(), until=until)
        except WireError as error:
            doing = f"waiting for the results of {_ids(self._ids())}"
            raise self._client.error(error, doing=doing) from error
        return {channel.removeprefix(self._prefix): raw for channel, raw in heard.items()}

    def close(self) -> None:
        if self._waiter is not None:
            self._ear.leave(self._waiter)

    def _opened(self) -> Waiter:
        with self._guard_opening:
            if self._waiter is None:
                self._waiter = self._ear.open()
            return self._waiter

    def _ids(self) -> list[str]:
        return [channel.removeprefix(self._prefix) for channel in self._opened().channels]


def _is_end(payload: bytes) -> bool:
    """Tell whether a payload says that its task has ended.

    What the JSON reader cannot read was written with another serializer or compressed; its word "status" is found by
    pattern, and compressed payloads, which are large, count as ends: whoever reads them whole will see.
    """
    if payload.startswith(_ENDS):
        return True
    try:
        return state_of(payload) in READY_STATES
    except CeleriacError:
        found = _STATUS.search(payload)
        return found is None or found.group(1).decode() in READY_STATES


def _ids(ids: Sequence[str]) -> str:
    return f"task {ids[0]}" if len(ids) == 1 else f"{len(ids)} tasks"
