"""Calls to the server: batches of packed commands on a pooled connection, answers in order, errors as ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celeriac.clock import Clock, SystemClock
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import DEPOSED, ConnectionLost, Kind, NoAnswer, Refusal, WireError, translate
from celeriac.drivers.redis.packing import Command, Packed, pack, pack_all, packed, unpacked
from celeriac.drivers.redis.scripts import Script, source_of
from celeriac.drivers.redis.wire import Reply, Wire
from celeriac.exceptions import OperationalError

__all__ = ["Client", "beginning", "call_script", "run_on", "with_source"]

_EVALSHA: Final = "EVALSHA"


def call_script(script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | float]) -> Command:
    """Return the command that runs a script."""
    return (_EVALSHA, script.sha, str(len(keys)), *keys, *arguments)


def beginning(script: Script, keys: int, *first: str) -> Packed:
    """Return the beginning of a command that runs a script again and again: with its first keys, of so many."""
    return packed(_EVALSHA, script.sha, str(keys), *first)


class Client:
    """The server as one of the contracts sees it: calls that raise that contract's errors. Thread-safe.

    A call is made again, once, only when none of it can have been executed: the connection was found closed before
    sending, or a single command could not be sent whole; but see `look`. Otherwise the error goes up, and the
    connection is dropped.
    """

    def __init__(self, pool: Pool, clock: Clock, kind: Kind) -> None:
        self.pool = pool
        self._clock = clock
        self._kind = kind
        self.has_system_clock = isinstance(clock, SystemClock)
        """The time is read from the machine's clock, which the server's may stand in for."""

    @property
    def location(self) -> str:
        return self.pool.address.location

    def now(self) -> float:
        """Return the moment by the server's clock (UTC epoch seconds)."""
        return self._clock.now() + self.pool.clock_offset

    def server_time(self, moment: float) -> float:
        """Return a moment of the local clock as the server's clock has it."""
        return moment + self.pool.clock_offset

    def compare_clocks(self, *, doing: str) -> None:
        """Know by how much the clocks differ, before the first moment is told."""
        if not self.pool.knows_clock:
            self.one(("PING",), doing=doing)

    def local_time(self, moment: float) -> float:
        """Return a moment of the server's clock as the local clock has it."""
        return moment - self.pool.clock_offset

    def one(self, command: Command, *, doing: str, patience: float | None = None) -> Reply:
        """Run one command and return its answer. `doing` completes "failed while ..." in an error.

        `patience` is how many seconds the answer may take, where that is less than what others wait.
        """
        try:
            (reply,) = self._run((command,), patience)
        except WireError as error:
            raise self.error(error, doing=doing) from error
        if reply.__class__ is Refusal:
            raise self.error(reply, doing=doing) from reply
        return reply

    def look(self, command: Command, *, doing: str, patience: float | None = None) -> Reply:
        """Run one command that changes nothing, as `one` does; again, once, when its connection is lost amid it."""
        try:
            return self.one(command, doing=doing, patience=patience)
        except OperationalError as error:
            if type(error.__cause__) is not ConnectionLost:  # a server that gives no answer gives none a second time
                raise
        return self.one(command, doing=doing, patience=patience)

    def all(self, commands: Sequence[Command], *, doing: str) -> list[Reply]:
        """Run the commands in one round trip; raise for the first that the server refused."""
        replies = self.every(commands, doing=doing)
        for reply in replies:
            if isinstance(reply, Refusal):
                raise self.error(reply, doing=doing) from reply
        return replies

    def every(self, commands: Sequence[Command], *, doing: str) -> list[Reply]:
        """Run the commands in one round trip; a refusal stands in the place of its answer."""
        try:
            return self._run(commands)
        except WireError as error:
            raise self.error(error, doing=doing) from error

    def error(self, error: WireError, *, doing: str) -> Exception:
        """Return the error to raise for what the connection says."""
        return translate(error, kind=self._kind, doing=doing, location=self.location)

    def _run(self, commands: Sequence[Command], patience: float | None = None) -> list[Reply]:
        packed = pack(commands[0]) if len(commands) == 1 else pack_all(commands)
        wire = self.pool.take()
        try:
            wire.send(packed)
        except BaseException as error:
            self._drop(wire, error)
            is_repeatable = isinstance(error, ConnectionLost) and not isinstance(error, NoAnswer)
            if len(commands) > 1 or not is_repeatable:
                raise
            wire = self._sent_again(packed)
        try:
            if patience is not None:
                wire.wait(patience)
            replies = wire.read_many(len(commands))
            for reply in replies:
                if reply.__class__ is Refusal:
                    _ask_again(wire, commands, replies)
                    break
            else:
                self.pool.give(wire)
                return replies
        except BaseException as error:
            self._drop(wire, error)
            raise
        if any(reply.__class__ is Refusal and reply.code in DEPOSED for reply in replies):
            wire.close()
            self.pool.doubt()
        else:
            self.pool.give(wire)
        return replies

    def _sent_again(self, packed: bytes) -> Wire:
        wire = self.pool.open()
        try:
            wire.send(packed)
        except BaseException as error:
            self._drop(wire, error)
            raise
        return wire

    def _drop(self, wire: Wire, error: BaseException) -> None:
        """Close a connection that failed."""
        wire.close()
        if isinstance(error, ConnectionLost):
            error.asker = wire.asker
        if isinstance(error, NoAnswer):
            self.pool.doubt()


def run_on(wire: Wire, commands: Sequence[Command]) -> Reply:
    """Run commands in one round trip on a connection of one's own; return the last answer. Raises `WireError`."""
    wire.send(pack_all(commands))
    replies = wire.read_many(len(commands))
    _ask_again(wire, commands, replies)
    for reply in replies:
        if isinstance(reply, Refusal):
            raise reply
    return replies[-1]


def _ask_again(wire: Wire, commands: Sequence[Command], replies: list[Reply]) -> None:
    """Send scripts that the server does not know again with their source, and put the answers to these in place."""
    unknown = [place for place, reply in enumerate(replies) if isinstance(reply, Refusal) and reply.is_unknown_script]
    if unknown:
        wire.send(pack_all([with_source(commands[place]) for place in unknown]))
        for place in unknown:
            replies[place] = wire.read()


def with_source(command: Command) -> Command:
    """Return a call of a script for a server that may not know it, see `call_script`."""
    _, sha, *rest = unpacked(command)
    return ("EVAL", source_of(sha), *rest)
