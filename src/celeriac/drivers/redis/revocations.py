"""Revocations in two sorted sets, by number and by end, and the newest number, which each claim reads along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.scripts import HASTEN, REVOKE, REVOKED_SINCE
from celeriac.drivers.redis.wire import Reply
from celeriac.interfaces.revocations import Revocation

__all__ = ["Heard", "RedisRevocations"]

T = TypeVar("T")

_PER_SCRIPT: Final = 1000  # a script blocks the server
_SOONER: Final = 60_000  # milliseconds; see revoke.lua: nodes that write down the same one do not do so at one moment


class Heard:
    """The newest number of which the answers to claims have told. It only grows."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def note(self, told: Reply) -> None:
        """Take in what a script has answered: the number as text, or None."""
        if told is not None and (number := int(told)) > self.number:
            self.number = number


class RedisRevocations:
    """The contract of revocations in Redis or Valkey. Thread-safe. Ends are kept by the server's clock."""

    def __init__(self, client: Client, keys: Keys, heard: Heard) -> None:
        self._client = client
        self._keys = (keys.revoked, keys.revoked_ends, keys.revoked_newest)
        self._newest = keys.revoked_newest
        self._names = keys.delayed_names
        self._heard = heard

    @property
    def heard(self) -> int:
        return self._heard.number

    def add(self, revocations: Sequence[Revocation]) -> None:
        commands = []
        for ttl, some in groupby(revocations, key=attrgetter("ttl")):
            for part in _parts([msgspec.json.encode(replace(one, ttl=0.0)) for one in some]):
                arguments = (max(1, math.ceil(ttl * 1000)), _SOONER, *part)
                commands.append(call_script(REVOKE, self._keys, arguments))
        if commands and any(self._client.all(commands, doing="revoking tasks")):
            self._hasten([one.task_id for one in revocations if one.task_id])

    def since(self, number: int) -> tuple[int, Sequence[Revocation]]:
        doing = "looking for revoked tasks"
        newest = int(self._client.one(("GET", self._newest), doing=doing) or 0)
        if newest in (0, number):  # nearly always
            return newest, []
        newest, *found = self._client.one(call_script(REVOKED_SINCE, self._keys, (number,)), doing=doing)
        pairs = zip(found[::2], found[1::2], strict=True)
        return newest, [replace(_read(member), ttl=left / 1000) for member, left in pairs]

    def _hasten(self, ids: Sequence[str]) -> None:
        """Let what is delayed of these tasks be due: the next upkeep makes it ready."""
        doing = "looking for delayed messages of revoked tasks"
        queues = self._client.one(("SMEMBERS", self._names), doing=doing) if ids else ()
        for queue in queues:
            keys = (f"{self._names}:{queue.decode()}",)
            for part in _parts(ids):
                cursor = b"0"
                while True:
                    hasten = call_script(HASTEN, keys, (cursor, self._client.now(), *part))
                    cursor = self._client.one(hasten, doing=doing)
                    if cursor == b"0":
                        break


_read = msgspec.json.Decoder(Revocation).decode


def _parts(members: Sequence[T]) -> Sequence[Sequence[T]]:
    return [members[start : start + _PER_SCRIPT] for start in range(0, len(members), _PER_SCRIPT)]
