"""Plans: what the calls of a task that have nothing but arguments have in common, worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias

from msgspec import Struct

from celeriac.routing.queues import Route
from celeriac.settings.conf import Settings

OPTIONS_OF_TASKS: Final = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "serializer",
    "compression",
    "expires",
    "time_limit",
    "soft_time_limit",
)
"""What a task says about its own sending, where a call says nothing."""

CONSTANT_OPTIONS: Final = frozenset(OPTIONS_OF_TASKS) - {"expires"} | {"ignore_result", "shadow"}
"""Options, of a task or of its route, that mean the same for each of its calls."""

_of_task = attrgetter(*OPTIONS_OF_TASKS, "ignore_result")

Said: TypeAlias = tuple[Any, tuple[Any, ...], int]
"""The task, everything that it says about its sending at one moment, and how often settings were changed by then."""


class Plan(Struct, frozen=True):
    """Where plain calls of one task go and what their headers are, as long as `said` is what is said.

    `headers` are None when such a call must be written in full: each has other headers, or a body that is not JSON.
    `max_bytes` is the most that a body may have. `is_answered` says that each names where its result is to be sent, if
    there is such a place.
    """

    said: Said
    route: Route
    priority: int | None
    headers: Mapping[str, Any] | None
    max_bytes: int | None
    is_answered: bool


def said(conf: Settings, task: Any) -> Said:
    """Return what holds now.

    What a task says are plain attributes that may be changed at any time, also on its class, so a plan is compared with
    them at each call instead of being told.
    """
    return task, _of_task(task) if task is not None else (), conf.times_changed
