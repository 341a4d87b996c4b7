"""What a task says of itself, checked when it is made: a mistake there would show only when a run has failed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from celeriac.app.checks import check_call
from celeriac.app.options import RetryOptions
from celeriac.types import Seconds

_EXCEPTIONS: Final = ("autoretry_for", "dont_autoretry_for", "throws")
_WHOLE: Final = ("max_retries", "resultrepr_maxsize")
_SPANS: Final = ("default_retry_delay", "retry_backoff", "retry_backoff_max")
_SENDING: Final = ("priority", "serializer", "compression", "expires", "time_limit", "soft_time_limit", "ignore_result")
_OF_A_RETRY: Final = frozenset(
    {"args", "kwargs", "countdown", "eta", "max_retries"} | set(RetryOptions.__annotations__)
)


class Declared(Protocol):
    """The options of a task that are looked at here."""

    name: str
    autoretry_for: Sequence[type[BaseException]]
    dont_autoretry_for: Sequence[type[BaseException]]
    throws: Sequence[type[BaseException]]
    retry_kwargs: Mapping[str, Any]
    max_retries: int | None
    resultrepr_maxsize: int
    default_retry_delay: Seconds
    retry_backoff: bool | float
    retry_backoff_max: Seconds


def settle(task: Declared) -> None:
    """Check the options and make tuples of exceptions from single ones, which Celery takes too.

    Raises TypeError or ValueError, naming task and option.
    """
    for option in _EXCEPTIONS:
        given = getattr(task, option)
        settled = _exceptions(task.name, option, given)
        if settled is not given:
            setattr(task, option, settled)
    for option in _WHOLE:
        _whole(task.name, option, getattr(task, option))
    for option in _SPANS:
        _span(task.name, option, getattr(task, option))
    check_call(task.name, {option: getattr(task, option) for option in _SENDING})
    _retry_kwargs(task.name, task.retry_kwargs)


def _exceptions(name: str, option: str, given: Any) -> tuple[type[BaseException], ...]:
    if isinstance(given, type):
        given = (given,)
    if given is None:
        given = ()
    if isinstance(given, list | set | frozenset):
        given = tuple(given)
    if not isinstance(given, tuple):
        raise TypeError(f"{name}: {option}={given!r} must be exception classes, as in {option}=(OSError, ValueError).")
    for each in given:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{name}: {option} holds {each!r}, which is no exception class.")
    return given


def _whole(name: str, option: str, value: Any) -> None:
    if option == "max_retries" and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        none = " or None, for ever" if option == "max_retries" else ""
        raise TypeError(f"{name}: {option}={value!r} must be a whole number{none}.")


def _span(name: str, option: str, value: Any) -> None:
    if value is None and option == "default_retry_delay":
        return
    if not isinstance(value, int | float):
        raise TypeError(f"{name}: {option}={value!r} must be a number of seconds.")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {option}={value!r} must be a number of seconds, not negative.")


def _retry_kwargs(name: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}: retry_kwargs={given!r} must be a mapping, as in retry_kwargs={{'max_retries': 5}}.")
    unknown = sorted(str(key) for key in given if key not in _OF_A_RETRY)
    if unknown:
        known = ", ".join(sorted(_OF_A_RETRY))
        raise TypeError(f"{name}: retry_kwargs has unknown options: {', '.join(unknown)}. Known: {known}.")
    if "max_retries" in given:
        _whole(name, "max_retries", given["max_retries"])
    check_call(name, given)
