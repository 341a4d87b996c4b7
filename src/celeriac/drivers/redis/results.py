"""Results under Celery's keys, each write told on a channel of the same name, as Celery does."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.ear import Ear
from celeriac.drivers.redis.errors import WireError
from celeriac.drivers.redis.scripts import STORE_RESULTS
from celeriac.drivers.redis.wire import Command
from celeriac.exceptions import CeleriacError
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES
from celeriac.wire.results import state_of

__all__ = ["RedisResults"]

_KEY: Final = "celery-task-meta-"
_ENDS_PREFIX: Final = (":", "_", "-", ".")  # Celery adds "_" to a global_keyprefix that ends in none of these
_PER_TRIP: Final = 1000  # results
_STATUS: Final = re.compile(rb"status[^\w]*(\w+)")


class RedisResults:
    """Task results in Redis or Valkey. Implements `ResultBackend`."""

    def __init__(self, client: Client, options: Mapping[str, Any]) -> None:
        self._client = client
        prefix = options.get("global_keyprefix") or ""
        if prefix and not prefix.endswith(_ENDS_PREFIX):
            prefix += "_"
        self._prefix = f"{prefix}{_KEY}"
        self._ear = Ear(client.pool, _is_end)
        self._was_there = False
        """The last result that was waited for alone was there already, so the next one may be."""
        after_fork_in_child(self)

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
        found: dict[str, bytes] = {}
        for start in range(0, len(ids), _PER_TRIP):
            part = ids[start : start + _PER_TRIP]
            command = ("MGET", *(self._prefix + task_id for task_id in part))
            payloads = self._client.one(command, doing=f"reading the results of {_ids(part)}")
            found.update((task_id, raw) for task_id, raw in zip(part, payloads, strict=True) if raw is not None)
        return found

    def wait(self, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
        if not ids:
            return {}
        by_channel = {self._prefix + task_id: task_id for task_id in ids}

        def look() -> dict[str, bytes]:
            return {self._prefix + task_id: raw for task_id, raw in self.fetch(ids).items() if _is_end(raw)}

        looks_first = self._was_there or not self._ear.looks_itself
        if looks_first and len(ids) == 1 and (ended := look()):
            return {by_channel[channel]: raw for channel, raw in ended.items()}
        try:
            heard, self._was_there = self._ear.wait(by_channel, until=time.monotonic() + timeout, look=look)
        except WireError as error:
            raise self._client.error(error, doing=f"waiting for the results of {_ids(ids)}") from error
        return {by_channel[channel]: raw for channel, raw in heard.items()}

    def forget(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _PER_TRIP):
            part = ids[start : start + _PER_TRIP]
            self._client.one(("UNLINK", *(self._prefix + i for i in part)), doing=f"forgetting {_ids(part)}")

    def sweep(self, *, limit: int) -> int:  # noqa: ARG002  the server ends results by itself
        return 0

    def forget_parent(self) -> None:
        """Begin anew after a fork."""
        self._ear.forget_parent()

    def _store_command(self, ttl: float | None, records: Sequence[ResultRecord]) -> Command:
        keys = [self._prefix + record.task_id for record in records]
        arguments: list[str | bytes | float] = ["" if ttl is None else max(1, math.ceil(ttl * 1000))]
        for record in records:
            arguments += (record.payload, 1 if record.state in READY_STATES else 0)
        return call_script(STORE_RESULTS, keys, arguments)


def _is_end(payload: bytes) -> bool:
    """Tell whether a payload says that its task has ended.

    What the JSON reader cannot read was written with another serializer or compressed; its word "status" is found by
    pattern, and compressed payloads, which are large, count as ends: whoever reads them whole will see.
    """
    try:
        return state_of(payload) in READY_STATES
    except CeleriacError:
        found = _STATUS.search(payload)
        return found is None or found.group(1).decode() in READY_STATES


def _ids(ids: Sequence[str]) -> str:
    return f"task {ids[0]}" if len(ids) == 1 else f"{len(ids)} tasks"
