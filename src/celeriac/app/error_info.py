"""An exception as handlers and signals get it: with its traceback as text."""

from __future__ import annotations

import builtins
import traceback
from types import TracebackType
from typing import Any

from msgspec import Struct

from celeriac.wire.errors import names_of

_frames = vars(BaseException)["__traceback__"].__get__


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
        return (self.type, self.exception, frames_of(self.exception))

    def __str__(self) -> str:
        return self.traceback


def frames_of(error: BaseException) -> TracebackType | None:
    """Return the error's traceback, also when its class has something else, or a failure, under that name."""
    found: TracebackType | None = _frames(error)
    return found


def traceback_of(error: BaseException, *, runner: str) -> str:
    """Return the traceback as text, from the first line on that is not in `runner`, the file that ran the task.

    Never raises: of an error that fails when it is told of, the frames and the class are told.
    """
    own = frames_of(error)
    while own is not None and own.tb_next is not None and own.tb_frame.f_code.co_filename == runner:
        own = own.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, own))
    except BaseException as failed:  # noqa: BLE001  properties of the user's class, or of one in its chain
        frames = "".join(traceback.format_tb(own))
        what, why = (".".join(names_of(type(each))) for each in (error, failed))
        return f"Traceback (most recent call last):\n{frames}{what}: <telling more failed with {why}>\n"
