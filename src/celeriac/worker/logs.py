"""How a worker's log looks and where it goes: Celery's formats, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from msgspec import Struct

from celeriac import signals
from celeriac.app.context import running
from celeriac.app.error_info import traceback_of
from celeriac.exceptions import ImproperlyConfigured
from celeriac.log import TASK_LOGGER
from celeriac.settings.conf import Settings
from celeriac.worker.nodename import expand

_LEVELS: Final = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")}
_COLOURS: Final = {logging.DEBUG: 34, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 35}
_LONGEST_HELD: Final = 8192
"""Characters of a line without an end that are held back; a longer one is logged in pieces."""


def level_of(name: str | int) -> int:
    """Return the level of that name (in any case) or number. Raises `ImproperlyConfigured`."""
    if isinstance(name, int) or name.isdigit():
        return int(name)
    level: int | None = _LEVELS.get(name.upper())
    if level is None:
        raise ImproperlyConfigured(f"There is no log level {name!r}; known: {', '.join(_LEVELS)}.")
    return level


class LogSetup(Struct, frozen=True):
    """What the log is set up with. `install` is called once in each process, after it was forked."""

    level: int
    logfile: str | None
    nodename: str
    format: str
    task_format: str
    datefmt: str | None
    task_datefmt: str | None
    colour: bool | None
    as_json: bool
    hijack: bool
    redirect: bool
    redirect_level: int

    @classmethod
    def of(cls, conf: Settings, *, loglevel: str | int, logfile: str | None, nodename: str) -> LogSetup:
        """Bring settings and command line together."""
        return cls(
            level=level_of(loglevel),
            logfile=logfile,
            nodename=nodename,
            format=conf.worker_log_format,
            task_format=conf.worker_task_log_format,
            datefmt=conf.worker_log_datefmt,
            task_datefmt=conf.worker_task_log_datefmt,
            colour=conf.worker_log_color,
            as_json=conf.worker_log_json,
            hijack=conf.worker_hijack_root_logger,
            redirect=conf.worker_redirect_stdouts,
            redirect_level=level_of(conf.worker_redirect_stdouts_level),
        )

    def install(self, *, index: int = 0) -> None:
        """Set up logging in this process, unless a receiver of the signal ``setup_logging`` does it."""
        fields = {"loglevel": self.level, "logfile": self.logfile, "format": self.format, "colorize": self.colour}
        if signals.setup_logging.receivers:
            signals.setup_logging.send(sender=None, **fields)
            return
        root, tasks = logging.getLogger(), logging.getLogger(TASK_LOGGER)
        if self.hijack:
            root.handlers[:] = []
        if not root.handlers:
            root.addHandler(self._handler(self.format, self.datefmt, index))
        root.setLevel(self.level)
        tasks.handlers[:] = [self._handler(self.task_format, self.task_datefmt, index)]
        tasks.propagate = False
        if self.redirect:
            self._redirect()
        signals.after_setup_logger.send(sender=None, logger=root, **fields)
        signals.after_setup_task_logger.send(sender=None, logger=tasks, **fields)

    def _handler(self, text: str, datefmt: str | None, index: int) -> logging.Handler:
        handler = self._sink(index)
        handler.setFormatter(self._formatter(text, datefmt, handler))
        return handler

    def _sink(self, index: int) -> logging.Handler:
        if self.logfile:
            name = expand(self.logfile, self.nodename, index=index)
            try:
                return logging.FileHandler(name, encoding="utf-8")
            except OSError as error:
                raise ImproperlyConfigured(f"The logfile {name} cannot be written: {error.strerror}.") from error
        return logging.StreamHandler(sys.__stderr__)

    def _formatter(self, text: str, datefmt: str | None, handler: logging.Handler) -> logging.Formatter:
        if self.as_json:
            return JsonFormatter()
        colour = self.colour
        if colour is None:
            stream = getattr(handler, "stream", None)
            colour = not self.logfile and "NO_COLOR" not in os.environ and stream is not None and stream.isatty()
        try:
            return TaskFormatter(text, datefmt, colour=colour)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{text!r} cannot be the format of log lines (worker_log_format, worker_task_log_format): {error}."
            ) from error

    def _redirect(self) -> None:
        log = logging.getLogger("celeriac.redirected")
        sys.stdout = LogStream(log, self.redirect_level, sys.__stdout__)
        sys.stderr = LogStream(log, self.redirect_level, sys.__stderr__)


class ErrorFormatter(logging.Formatter):
    """Tells of every error something, also of one whose class fails when it is told of."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the standard library's
        try:
            return super().formatException(ei)
        except BaseException:  # noqa: BLE001  properties of the user's class
            return traceback_of(ei[1], runner="").rstrip()


class TaskFormatter(ErrorFormatter):
    """Celery's: fills in task_name and task_id of the task that runs, and colours by level."""

    def __init__(self, text: str, datefmt: str | None, *, colour: bool) -> None:
        super().__init__(text, datefmt)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        add_task(record)
        line = super().format(record)
        code = _COLOURS.get(record.levelno) if self._colour else None
        return line if code is None else f"\x1b[{code}m{line}\x1b[0m"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  a method of logging's
        try:
            return super().formatMessage(record)
        except (TypeError, ValueError) as error:  # a field that this record has not: no reason to lose the line
            return f"{record.levelname} {record.message} (not in the format that is configured for log lines: {error})"


class JsonFormatter(ErrorFormatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, process, message, and the task's name and id."""

    def format(self, record: logging.LogRecord) -> str:
        add_task(record)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.__dict__["task_id"] not in (None, "???"):
            entry["task_name"] = record.__dict__["task_name"]
            entry["task_id"] = record.__dict__["task_id"]
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=repr)


def add_task(record: logging.LogRecord) -> None:
    """Give the record task_name and task_id: its own, else those of the running task, else ``???`` as Celery."""
    request = running.get()
    record.__dict__.setdefault("task_name", request.task or "???")
    record.__dict__.setdefault("task_id", request.id or "???")


class LogStream:
    """A text stream whose lines go to a logger: what tasks print. Thread-safe.

    A line is logged when it is complete, when it has grown long, at the next `flush`, or when another task writes in
    the same thread; the record is that of the task that wrote it. What a thread writes while it logs a line (a handler
    that prints) is dropped.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, logger: logging.Logger, level: int, original: TextIO | None) -> None:
        self._logger = logger
        self._level = level
        self._original = original
        self._here = _Line()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        here, request = self._here, running.get()
        if here.is_logging:
            return len(text)
        task = (request.task, request.id)
        if here.task != task:
            self.flush()
            here.task = task
        *lines, rest = text.split("\n")
        for line in lines:
            here.begun.append(line)
            self.flush()
        if rest:
            here.begun.append(rest)
            here.length += len(rest)
            if here.length >= _LONGEST_HELD:
                self.flush()
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that this thread has begun."""
        here = self._here
        if here.is_logging or not here.begun:
            return
        line, here.begun, here.length = "".join(here.begun).rstrip(), [], 0
        if not line:
            return
        name, task_id = here.task
        here.is_logging = True
        try:
            fields = {"task_name": name or "???", "task_id": task_id or "???"}
            self._logger.log(self._level, "%s", line, extra=fields)
        finally:
            here.is_logging = False

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        if self._original is None:
            raise OSError("this process has no such stream")
        return self._original.fileno()


class _Line(threading.local):
    """What one thread has written of a line, name and id of the task that did, and whether it is logging one."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.length = 0
        self.task: tuple[str | None, str | None] = (None, None)
        self.is_logging = False
