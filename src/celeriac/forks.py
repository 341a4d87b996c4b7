"""What a forked child does with the sockets, locks and threads that it seems to inherit: it begins anew."""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """A part that holds sockets, locks or threads, and can begin anew in a child process."""

    def forget_parent(self) -> None:
        """Drop what belongs to the parent, without a word on the wire, and make new locks.

        Runs in the child's only thread.
        """


_parts: Final[WeakSet[Forkable]] = WeakSet()


def after_fork_in_child(part: Forkable) -> None:
    """Have `part.forget_parent` called in every child that is forked while the part lives."""
    _parts.add(part)


def _begin_anew() -> None:
    for part in list(_parts):
        part.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
