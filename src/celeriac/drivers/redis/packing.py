"""How commands are written for the server: Redis's own protocol, RESP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

import hiredis
from msgspec import Struct

__all__ = ["NOTHING", "Command", "Packed", "alone", "pack", "pack_all", "packed", "together", "unpacked"]

Command: TypeAlias = tuple[Any, ...]
"""A command and its arguments: text, bytes, numbers, and what is `Packed`, which then it begins with."""

_NUMBERS: Final = frozenset({int, float})

_UNKNOWN: Final = "an argument of a command is no text, bytes or number: Redis knows nothing else"

_pack: Final[Callable[[Command], bytes]] = hiredis.pack_command


class Packed(Struct, frozen=True, gc=False):
    """Arguments that were written once, for commands that differ only in others; or a `whole` command."""

    arguments: tuple[str, ...]
    written: bytes
    count: int
    whole: bytes = b""


NOTHING: Final = Packed((), b"", 0)


@lru_cache(maxsize=1000)
def packed(*arguments: str) -> Packed:
    """Return these arguments written, from a cache: for such as come again and again."""
    return Packed(arguments, b"".join([_argument(each.encode()) for each in arguments]), len(arguments))


def pack(command: Command) -> bytes:
    """Write a command as it goes to the server. Raises TypeError for an argument that is no text, bytes or number."""
    first = command[0]
    if type(first) is Packed:
        return first.whole or _joined(command)
    try:
        return _pack(command if _NUMBERS.isdisjoint(map(type, command)) else tuple(map(_text, command)))
    except hiredis.HiredisError as error:
        raise TypeError(_UNKNOWN) from error


def pack_all(commands: Iterable[Command]) -> bytes:
    """Write several commands that go to the server in one piece. Raises as `pack`."""
    return b"".join(map(pack, commands))


def alone(*arguments: str) -> Command:
    """Return a command that is always the same, written as a whole."""
    begun = packed(*arguments)
    return (Packed(begun.arguments, begun.written, begun.count, _joined((begun,))),)


def together(*parts: Packed) -> Packed:
    """Return arguments that always follow one another as one part."""
    arguments: tuple[str, ...] = sum([each.arguments for each in parts], ())
    return Packed(arguments, b"".join([each.written for each in parts]), len(arguments))


def unpacked(command: Command) -> Command:
    """Return the same command with all its arguments one by one."""
    return tuple([each for part in command for each in (part.arguments if type(part) is Packed else (part,))])


def _joined(command: Command) -> bytes:
    count = 0
    parts = [b""]
    for each in command:
        kind = type(each)
        if kind is Packed:
            count += each.count
            parts.append(each.written)
        else:
            count += 1
            raw = each.encode() if kind is str else each if kind is bytes else _raw(each)
            length = len(raw)
            parts += (_LENGTHS[length] if length < _SHORT else _length(length), raw, b"\r\n")
    parts[0] = _COUNTS[count] if count < _SHORT else _counted(count)
    return b"".join(parts)


def _length(count: int) -> bytes:
    return b"$%d\r\n" % count


def _counted(count: int) -> bytes:
    return b"*%d\r\n" % count


_SHORT: Final = 500
_LENGTHS: Final = tuple(map(_length, range(_SHORT)))
_COUNTS: Final = tuple(map(_counted, range(_SHORT)))
"""What stands before each argument and each command, nearly always: written once."""


def _argument(raw: bytes) -> bytes:
    return b"%b%b\r\n" % (_length(len(raw)), raw)


def _raw(argument: Any) -> bytes:
    """Return as bytes what is neither text nor bytes."""
    if type(argument) not in _NUMBERS:
        raise TypeError(_UNKNOWN)
    return repr(argument).encode()


def _text(argument: Any) -> Any:
    """Return a number as text, anything else as it is.

    hiredis (3.5) would ask for their `repr` and not look whether it got one: a signal whose handler raises in that
    moment (Ctrl-C, a soft time limit) ends the process by a segmentation fault.
    """
    return repr(argument) if type(argument) in _NUMBERS else argument
