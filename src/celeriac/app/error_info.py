"""An exception as handlers and signals get it: with its traceback as text."""

from __future__ import annotations

import builtins
import traceback
from types import TracebackType
from typing import Any

from msgspec import Struct


class ErrorInfo(Struct, frozen=True):
    """Celery's ``einfo``: an exception with its traceback as text, for handlers and signals."""

    exception: Any
    traceback: str

    @property
    def type(self) -> type[BaseException]:
        return type(self.exception)

    @property
    def exc_info(self) -> tuple[builtins.type[BaseException], BaseException, TracebackType | None]:
        """What ``logging`` takes as ``exc_info``: type, exception, traceback."""
        return (self.type, self.exception, self.exception.__traceback__)

    def __str__(self) -> str:
        return self.traceback


def traceback_of(error: BaseException, *, runner: str) -> str:
    """Return the traceback as text, from the first line on that is not in `runner`, the file that ran the task."""
    own = error.__traceback__
    while own is not None and own.tb_next is not None and own.tb_frame.f_code.co_filename == runner:
        own = own.tb_next
    return "".join(traceback.format_exception(type(error), error, own))
