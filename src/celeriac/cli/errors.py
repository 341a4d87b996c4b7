"""How errors end the command: a sentence on standard error and an exit code that scripts can read."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

import click

from celeriac.exceptions import CeleriacError, ImproperlyConfigured, OperationalError

FAILURE: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 69
"""``EX_UNAVAILABLE`` of sysexits.h, which Celery's commands use as well."""


class Failure(click.ClickException):
    """A command could not do what it was asked."""

    exit_code = FAILURE


class Misconfigured(Failure):
    """A command was told what cannot be, on its line or by a setting."""

    exit_code = USAGE


class Unavailable(Failure):
    """A command could not reach the broker or the result backend."""

    exit_code = UNAVAILABLE


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn celeriac's errors into messages: a store that does not answer is 69, a wrong configuration 2, others 1."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable(str(error)) from error
    except ImproperlyConfigured as error:
        raise Misconfigured(str(error)) from error
    except CeleriacError as error:
        raise Failure(str(error)) from error


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Show an error of the user's own code as Python does, beginning at the first line that is not ours."""
    try:
        yield
    except (CeleriacError, click.ClickException):
        raise
    except Exception as error:
        shown = error.with_traceback(_from_users_code(error.__traceback__))
        traceback.print_exception(shown, file=sys.stderr)
        raise Failure(f"{what} could not be imported; see the traceback above.") from error


def _from_users_code(frames: TracebackType | None) -> TracebackType | None:
    """Skip the frames of the import system and of celeriac's command line."""
    while frames is not None:
        name = frames.tb_frame.f_globals.get("__name__", "")
        if not name.startswith(("importlib", "celeriac.cli", "celeriac.app.locate", "contextlib")):
            return frames
        frames = frames.tb_next
    return None
