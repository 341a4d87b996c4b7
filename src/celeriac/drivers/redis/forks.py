"""What a child process does with the connections that it inherited: it drops them, without a word on the wire."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["after_fork_in_child"]


class Forkable(Protocol):
    """A part that holds sockets or locks and can begin anew in a child process."""

    def forget_parent(self) -> None:
        """Drop inherited sockets and make new locks. Runs in the child's only thread."""


_parts: WeakSet[Forkable] = WeakSet()


def after_fork_in_child(part: Forkable) -> None:
    """Have `part.forget_parent` called in every child that is forked while the part lives."""
    _parts.add(part)


def _begin_anew() -> None:
    for part in list(_parts):
        part.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
