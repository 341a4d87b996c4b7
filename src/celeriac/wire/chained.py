"""The body of a task in a chain, of which the steps that remain are left unread."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from celeriac.wire.json import TAG, Unread


class Chained(Struct):
    """Arguments and what is embedded: the steps of the chain as they came, the rest as signatures."""

    args: Any
    kwargs: Any
    chain: Unread
    callbacks: list[dict[str, Any]] | None
    errbacks: list[dict[str, Any]] | None
    chord: dict[str, Any] | None


class _Embed(Struct):
    chain: list[Raw]
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


CHAIN = b'"chain"'
"""What such a body has in it somewhere."""

_OBJECTS = frozenset(b"{")
_first = operator.itemgetter(0)
_read = msgspec.json.Decoder(tuple[Any, Any, _Embed]).decode


def read_chained(body: bytes) -> Chained | None:
    """Read a body whose chain consists of plain JSON; None for any other, and where it is broken."""
    if body.find(CHAIN) < 0 or body.find(TAG) >= 0 or not body.isascii():
        return None
    try:
        args, kwargs, embed = _read(body)
    except (msgspec.MsgspecError, RecursionError):
        return None  # no chain, or not of protocol 2, or the other readers have the reason
    begins: Iterable[memoryview] = map(memoryview, embed.chain)
    if not _OBJECTS.issuperset(map(_first, begins)):
        return None
    return Chained(args, kwargs, Unread(embed.chain), embed.callbacks, embed.errbacks, embed.chord)
