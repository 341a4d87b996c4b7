"""What came of a run, and what therefore happens to its message."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct

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
