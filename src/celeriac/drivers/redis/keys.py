"""Names of keys: Celery's for what stock workers and clients read, ``celeriac:...`` for what is ours alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["Keys", "QueueKeys"]

_PRIORITY_STEPS: Final = (0, 3, 6, 9)
_SEPARATOR: Final = "\x06\x16"
_RESERVED: Final = ("_kombu.", "celeriac:", "celery-task-meta-", "celery-taskset-meta-", "chord-unlock-")
_ENDS_PREFIX: Final = (":", "_", "-", ".")  # Celery adds "_" to a global_keyprefix that ends in none of these
_REMEMBERED: Final = 10_000  # queues; more are named again each time


class QueueKeys(Struct, frozen=True):
    """The keys of one queue. `tail` ends its entries in the hash of unacknowledged messages."""

    lists: tuple[str, ...]
    bell: str
    mark: str
    delayed: str
    dead: str
    tail: str


class Keys:
    """The names under one prefix, as the transport options have it. Read-only but for a cache; thread-safe."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.prefix = _text(options, "global_keyprefix", "")
        self.separator = _text(options, "sep", _SEPARATOR)
        self.steps = _steps(options.get("priority_steps") or _PRIORITY_STEPS)
        self.unacked = self.prefix + _text(options, "unacked_key", "unacked")
        self.unacked_index = self.prefix + _text(options, "unacked_index_key", "unacked_index")
        if self.unacked == self.unacked_index:
            raise ImproperlyConfigured(
                f"unacked_key and unacked_index_key are both {self.unacked!r}; they are two keys."
            )
        self.alive = f"{self.prefix}celeriac:alive"
        self.delayed_names = f"{self.prefix}celeriac:delayed"
        self.dead_numbers = f"{self.prefix}celeriac:dead"
        self.queue_names = f"{self.prefix}celeriac:queues"
        self.revoked = f"{self.prefix}celeriac:revoked"
        self.revoked_ends = f"{self.prefix}celeriac:revoked:ends"
        self.revoked_newest = f"{self.prefix}celeriac:revoked:newest"
        self.binding = f"{self.prefix}_kombu.binding."
        self.binding_permanent = f"{self.prefix}_kombu.binding_permanent."
        self._queues: dict[str, QueueKeys] = {}

    @staticmethod
    def of_results(options: Mapping[str, Any], kind: str = "celery-task-meta-") -> str:
        """Return what the keys of results begin with, or those of groups."""
        prefix = _text(options, "global_keyprefix", "")
        if prefix and not prefix.endswith(_ENDS_PREFIX):
            prefix += "_"
        return f"{prefix}{kind}"

    def queue(self, name: str) -> QueueKeys:
        """Return the keys of a queue. Raises `ImproperlyConfigured` for a name that `is_free` denies."""
        known = self._queues.get(name)
        if known is None:
            known = self._name(name)
            if len(self._queues) < _REMEMBERED:
                self._queues[name] = known
        return known

    def is_free(self, name: str) -> bool:
        """Tell whether a queue may have this name: no key of Celery's, of ours, or of another queue's is in its way."""
        if self.prefix + name in (self.unacked, self.unacked_index) or name.startswith(_RESERVED):
            return False
        before, separator, step = name.rpartition(self.separator)
        return not (before and separator and step.isdecimal() and int(step) in self.steps)

    def step(self, priority: int | None) -> int:
        """Return the place of the list, among `QueueKeys.lists`, that a priority goes to: rounded down, 0 for none."""
        if not priority:
            return 0
        return max(0, bisect_right(self.steps, priority) - 1)

    def step_of_tag(self, tag: str) -> int:
        """Return the place of the list that a message with this tag came from."""
        step = tag.rpartition(":")[2]
        return self.steps.index(int(step)) if step.isdigit() and int(step) in self.steps else 0

    def own(self, kind: str, name: str) -> str:
        """Return a key of our own, as in ``celeriac:lock:<name>``."""
        return f"{self.prefix}celeriac:{kind}:{name}"

    def _name(self, name: str) -> QueueKeys:
        if not self.is_free(name):
            raise ImproperlyConfigured(
                f"A queue on Redis cannot be called {name!r}: the key of that name holds something else. Choose"
                f" another name; taken are {self.unacked}, {self.unacked_index}, and names that begin with"
                f" {', '.join(_RESERVED)}."
            )
        return QueueKeys(
            lists=tuple(self.prefix + (f"{name}{self.separator}{step}" if step else name) for step in self.steps),
            bell=self.own("bell", name),
            mark=self.own("mark", name),
            delayed=self.own("delayed", name),
            dead=self.own("dead", name),
            tail=f',"",{msgspec.json.encode(name).decode()}]',
        )


def _text(options: Mapping[str, Any], name: str, default: str) -> str:
    value = options.get(name) or default
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"{name} must be text, not {value!r}.")
    return value


def _steps(given: Sequence[Any]) -> tuple[int, ...]:
    try:
        steps = tuple(sorted({int(step) for step in given}))
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"priority_steps is {given!r}; it must be a list of whole numbers such as [0, 3, 6, 9]."
        ) from error
    if any(step < 0 for step in steps):
        raise ImproperlyConfigured(f"priority_steps is {given!r}; its numbers must not be negative.")
    return steps
