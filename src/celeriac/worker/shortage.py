"""What a task that ran out of memory holds on to after its end, and how to get it back."""

from __future__ import annotations

from celeriac.app.error_info import frames_of

# Not as attributes: the classes are the user's.
_context = vars(BaseException)["__context__"].__get__


def let_go(error: BaseException) -> None:
    """Free what the frames of a task hold that ran out of memory; does nothing for other errors.

    An error keeps the frames that it came through, and they keep the task's variables: there would be no memory to
    record its end with. Needs next to none itself.
    """
    if _is_for_memory(error):
        each: BaseException | None = error
        while each is not None:
            _clear_frames(each)
            each = _context(each)


def _is_for_memory(error: BaseException) -> bool:
    each: BaseException | None = error
    while each is not None and not issubclass(type(each), MemoryError):
        each = _context(each)
    return each is not None


def _clear_frames(error: BaseException) -> None:
    trace = frames_of(error)
    while trace is not None:
        try:
            trace.tb_frame.clear()
        except (RuntimeError, MemoryError):  # it still runs; or there was no memory to say so
            pass
        trace = trace.tb_next
