"""Asking a question in a forked child."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable

import pytest

can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def holds_in_a_fork(question: Callable[[], bool]) -> bool:
    """Fork, ask in the child, and return its answer; an error there is False and printed."""
    with warnings.catch_warnings():
        # From 3.12 on Python warns of forking a process with threads: what these tests are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if question() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
