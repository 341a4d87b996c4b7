"""Whether a call can be sent as its options say: what no worker could read is refused before it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from celeriac.app.options import CELERY_ONLY, SEND_OPTIONS
from celeriac.canvas.kinds import stamp_names
from celeriac.canvas.wholes import OF_WHOLES
from celeriac.wire.identity import is_text

_HIGHEST: Final = 255
"""AMQP's largest priority; RabbitMQ's queues can have so many."""
_LONGEST: Final = 100 * 365 * 86400.0
"""Seconds; moments further away than a century leave what a datetime can hold, and mean a mistake."""


def check_call(name: str, options: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError, naming task and option, for what cannot be written or never be read.

    An option that is None is one left out.
    """
    if not isinstance(name, str):
        raise TypeError(f"A task's name must be text, not {name!r}.")
    if not name or not (name.isprintable() or is_text(name)):
        raise ValueError(f"{name!r} cannot be the name of a task: it must be valid text without null characters.")
    for option, value in options.items():
        check = _CHECKS.get(option)
        if check is not None and value is not None:
            try:
                check(value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {option}={value!r} {error}") from None


def refuse_unknown(options: Mapping[str, Any]) -> None:
    """Raise TypeError for options that no call has; stamps are named by ``stamped_headers``."""
    unknown = sorted(options.keys() - SEND_OPTIONS - CELERY_ONLY - set(stamp_names(options)))
    if unknown:
        of_wholes = [name for name in unknown if name in OF_WHOLES]
        if of_wholes:
            names = " and ".join(of_wholes)
            raise TypeError(
                f"Only a signature's call takes {names}: write task.s(...).apply_async({of_wholes[0]}=...)."
            )
        known = ", ".join(sorted(SEND_OPTIONS))
        raise TypeError(f"Unknown options of a call: {', '.join(map(_with_guess, unknown))}. Known: {known}.")


def _with_guess(unknown: str) -> str:
    import difflib  # noqa: PLC0415  ADR 0012

    found = difflib.get_close_matches(unknown, SEND_OPTIONS, n=1, cutoff=0.8)
    return f"{unknown} (did you mean {found[0]}?)" if found else unknown


def _text(value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"must be text, not {type(value).__name__}.")
    if not is_text(value):
        raise ValueError("must be valid text without null characters.")


def _place(value: Any) -> None:
    """A queue or an exchange may also be an object, which the router reads."""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"must be a name, or an object that has one, not {type(value).__name__}.")
    _text(name)


def _whole(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"must be a whole number, not {type(value).__name__}.")


def _priority(value: Any) -> None:
    _whole(value)
    if not 0 <= value <= _HIGHEST:
        raise ValueError(f"must be from 0 to {_HIGHEST}; stores tell apart those from 0 to 9.")


def _from_now(value: Any) -> None:
    seconds = _seconds(value)
    if not -_LONGEST <= seconds <= _LONGEST:  # also what is no number
        raise ValueError("must be a number of seconds from now, within a hundred years.")


def _end(value: Any) -> None:
    if isinstance(value, timedelta):
        _from_now(value.total_seconds())
    elif isinstance(value, int | float):
        _from_now(value)


def _limit(value: Any) -> None:
    seconds = _seconds(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("must be a number of seconds, not negative; leave it out for no limit.")


def _seconds(value: Any) -> float:
    if isinstance(value, bool | str):
        raise TypeError(f"must be a number of seconds, not {type(value).__name__}.")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"must be a number of seconds, not {type(value).__name__}.") from error
    except OverflowError:
        return math.inf


def _truth(value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"must be True or False, not {type(value).__name__}.")


def _mapping(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"must be a mapping, not {type(value).__name__}.")
    if not all(is_text(key) for key in value):
        raise TypeError("must have names that are valid text.")


_CHECKS: Final[Mapping[str, Callable[[Any], None]]] = {
    "task_id": _text,
    "countdown": _from_now,
    "expires": _end,
    "queue": _place,
    "exchange": _place,
    "routing_key": _text,
    "priority": _priority,
    "headers": _mapping,
    "serializer": _text,
    "compression": _text,
    "ignore_result": _truth,
    "time_limit": _limit,
    "soft_time_limit": _limit,
    "shadow": _text,
    "argsrepr": _text,
    "kwargsrepr": _text,
    "retry_policy": _mapping,
    "root_id": _text,
    "parent_id": _text,
    "group_id": _text,
    "group_index": _whole,
    "reply_to": _text,
    "workflow_deadline": _from_now,
}
