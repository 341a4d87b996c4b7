"""The contract of an executor: where tasks of one kind run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

from celeriac.types import Seconds

TimeLeft: TypeAlias = Callable[[], Seconds | None]
"""How many seconds there are, from now; None for as long as it takes."""

J_contra = TypeVar("J_contra", contravariant=True)


class Executor(Protocol, Generic[J_contra]):
    """Runs jobs in its slots. Thread-safe."""

    @property
    def free(self) -> int:
        """How many more jobs could start at once."""

    @property
    def busy(self) -> int:
        """How many jobs run."""

    def start(self) -> None:
        """Make the slots ready."""

    def submit(self, job: J_contra) -> None:
        """Run the job in a free slot. Only called while `free` is above 0."""

    def stop(self, time_left: TimeLeft) -> bool:
        """Wait for what runs, while there is time left. False when something still runs.

        `time_left` is asked again and again: it may shrink meanwhile. Coroutines that still run then are cancelled.
        """
