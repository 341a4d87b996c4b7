"""The end of an engine's copies: children that a task has forked and that come out of the task as it does.

Such a child would go on as an engine that nobody knows: it would take tasks, and outlive its node.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

from celeriac.forks import after_fork_in_child
from celeriac.wire.tasks import TaskCall

logger = logging.getLogger(__name__)


class Copy:
    """Knows whether this process is a child that was forked from the one that made it."""

    def __init__(self) -> None:
        self.is_one = False
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        self.is_one = True

    def end(self, call: TaskCall, error: BaseException | None) -> NoReturn:
        """End this process, a copy, as `error`, which the task raised, wants it; the task goes on in the parent."""
        code = 1
        try:
            if isinstance(error, SystemExit):
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
            else:
                text = "A child that task %s[%s] forked came out of it and is ended: let such end by os._exit()"
                logger.error(text, call.name, call.id, exc_info=error)
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # a task may have put anything there
                    stream.flush()
        finally:
            os._exit(code & 0xFF)
