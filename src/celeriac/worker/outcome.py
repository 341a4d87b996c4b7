"""What came of a run, and what therefore happens to its message."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

from celeriac.exceptions import CeleriacError, ChordError, TaskError
from celeriac.interfaces.broker import Lease, Outgoing
from celeriac.interfaces.results import ResultRecord
from celeriac.worker.sequel import Sequel


class Settle(Enum):
    """How a message leaves the holder."""

    ACK = auto()
    REQUEUE = auto()
    REJECT = auto()
    NOTHING = auto()


class Completion(Struct, frozen=True):
    """What is to be stored, sent and settled for one delivery, in that order.

    `lease` None stands for a state on the way (STARTED), whose message is not settled. `delay` (seconds) goes with
    REQUEUE, `reason` with REJECT. `sequel` is what else concerns the workflow of which the task is part; its messages
    are among the `follow_ups`. `repeats` tells that all this may have been sent before; see `Sequels.again`.
    """

    lease: Lease | None
    settle: Settle = Settle.ACK
    record: ResultRecord | None = None
    follow_ups: Sequence[Outgoing] = ()
    delay: float = 0.0
    reason: str = ""
    sequel: Sequel | None = None
    repeats: bool = False


def without_follow_ups(completion: Completion, reason: str) -> Completion:
    """Return the end of a task of which nothing more is sent: its message is a dead letter, and who waits is told."""
    settle = completion.settle if completion.lease is None else Settle.REJECT
    sequel = _unsent(completion.sequel, TaskError(reason))
    return replace(completion, settle=settle, follow_ups=(), sequel=sequel, reason=reason)


def without_ends(completion: Completion, sequel: Sequel, reason: str) -> Completion:
    """Return the end of a task without those of the chords whose last member it was: they have failed, it has not."""
    own = completion.follow_ups[: len(completion.follow_ups) - len(sequel.messages)]
    unsent = _unsent(sequel, ChordError(f"its callback could not be sent: {reason}"))
    return replace(completion, follow_ups=own, sequel=unsent)


def _unsent(sequel: Sequel | None, reason: CeleriacError) -> Sequel | None:
    if sequel is None or (sequel.call is None and not sequel.ends):
        return None
    return Sequel(call=sequel.call, ends=sequel.ends, unsent=reason)
