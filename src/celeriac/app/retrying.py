"""When a failed task is tried again: Celery's rules for `retry()`, ``autoretry_for``, back-off and jitter."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from celeriac.types import Seconds


def backoff_delay(*, factor: Seconds, retries: int, maximum: Seconds, jitter: bool) -> Seconds:
    """Return ``factor * 2**retries`` seconds, at most `maximum`; with full jitter a random part of it.

    Full jitter spreads tasks that failed together over the whole span (the reasoning is in "Exponential Backoff And
    Jitter" of the AWS architecture blog, which Celery follows too). Never negative.
    """
    # 2**retries is cut at 2**62 before it is multiplied: beyond that only `maximum` matters.
    delay = min(maximum, factor * float(2 ** min(retries, 62)))
    if jitter:
        delay *= int.from_bytes(os.urandom(4), sys.byteorder) / 0xFFFF_FFFF
    return max(0.0, delay)


class AutoRetry:
    """The policy that a task's decorator states. Immutable; made once per task and process."""

    __slots__ = ("_backoff", "_backoff_max", "_catch", "_jitter", "_spare", "options")

    def __init__(  # noqa: PLR0913  the fields of a policy
        self,
        *,
        catch: Sequence[type[BaseException]],
        spare: Sequence[type[BaseException]],
        options: Mapping[str, Any],
        backoff: bool | float,
        backoff_max: Seconds,
        jitter: bool,
    ) -> None:
        self._catch = tuple(catch)
        self._spare = tuple(spare)
        self._backoff = float(backoff)
        self._backoff_max = backoff_max
        self._jitter = jitter
        self.options: Mapping[str, Any] = dict(options)

    def covers(self, error: BaseException) -> bool:
        """Tell whether `error` is one to try again after. ``dont_autoretry_for`` wins over ``autoretry_for``."""
        return isinstance(error, self._catch) and not isinstance(error, self._spare)

    def countdown(self, retries: int) -> Seconds | None:
        """Return the seconds to wait before the next try; None leaves it to the task's own default."""
        if not self._backoff:
            return None
        return backoff_delay(factor=self._backoff, retries=retries, maximum=self._backoff_max, jitter=self._jitter)
