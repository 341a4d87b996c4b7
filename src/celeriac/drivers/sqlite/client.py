"""One SQLite file as this process sees it: a connection that writes, one that reads, one that watches.

SQLite lets one writer at a time, so a process needs one writing connection; its lock hands over at once, where
SQLite's own waits by sleeping. Readers do not wait for writers (WAL).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.errors import TEMPORARY, explain, primary_code
from celeriac.drivers.sqlite.watch import Watch
from celeriac.exceptions import ImproperlyConfigured, OperationalError

SCHEMA_VERSION: Final = 3
APPLICATION_ID: Final = 0x63656C72
"""Says in the file's header (``PRAGMA application_id``) that it is ours: "celr" in ASCII."""
LARGEST_WAL_KEPT: Final = 64 * 2**20
"""Bytes to which the write-ahead log is cut back when it was larger."""


class FileConnection(sqlite3.Connection):
    """A connection that knows which file it has open, so that it is not used when another took its place."""

    file: tuple[int, int] = (0, 0)

    def is_of(self, path: str) -> bool:
        """Tell whether `path` still names the file that was opened; removed or replaced files keep being written to."""
        try:
            return self.file == _identity(path)
        except FileNotFoundError:
            return False


class Database:
    """A file with the tables of `schema.sql`. Thread-safe, and safe to fork: connections are closed before a fork and
    opened anew by whoever needs one, because SQLite's locks do not survive in a child.
    """

    def __init__(self, path: Path, *, synchronous: str, busy_timeout: float) -> None:
        self.path = path
        self._file = str(path)
        self.location = f"sqlite:///{path}"
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._writing = threading.RLock()
        self._writer: FileConnection | None = None
        self._locked_at = 0.0
        """When another process last kept the file locked for too long, by `time.monotonic`."""
        self._reading = threading.RLock()
        self._reader: FileConnection | None = None
        self.watch = Watch(str(path), self._connect)
        _databases.add(self)

    @contextmanager
    def write(self, kind: type[OperationalError]) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction that excludes all other writers; its failures are raised as `kind`."""
        asked = time.monotonic()
        with self._writing:
            try:
                if self._locked_at > asked:
                    self._refuse_late(asked)
                connection = self._writing_connection()
                try:
                    # Inside, for a signal that comes in the wait for the lock strikes when the transaction has begun.
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._write_failed(error, kind) from error

    def write_one(self, statement: str, values: Sequence[Any], kind: type[OperationalError]) -> None:
        """Run one statement as a transaction of its own; its failures are raised as `kind`.

        Half the time of `write`, for SQLite begins and commits by itself.
        """
        asked = time.monotonic()
        with self._writing:
            try:
                if self._locked_at > asked:
                    self._refuse_late(asked)
                self._writing_connection().execute(statement, values)
            except sqlite3.Error as error:
                raise self._write_failed(error, kind) from error

    @contextmanager
    def read(self, kind: type[OperationalError]) -> Iterator[sqlite3.Connection]:
        """Run the block with a connection to read from; its failures are raised as `kind`."""
        with self._reading:
            try:
                if self._reader is None or not self._reader.is_of(self._file):
                    self._drop_reader()
                    self._reader = self._connect()
                yield self._reader
            except sqlite3.Error as error:
                if primary_code(error) not in TEMPORARY:
                    self._drop_reader()
                raise explain(error, self.location, kind) from error

    @contextmanager
    def snapshot(self, kind: type[OperationalError]) -> Iterator[sqlite3.Connection]:
        """Run the block with a connection that reads all of it as of one moment; otherwise as `read`."""
        with self.read(kind) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def ring(self) -> None:
        """Wake whoever waits for what was just committed."""
        self.watch.ring_everywhere()

    def close(self) -> None:
        """Close all connections and end all waits. Idempotent; whoever uses the database again opens it anew."""
        self.watch.close()
        with self._writing:
            self._drop_writer()
        with self._reading:
            self._drop_reader()

    def hold_still(self) -> None:
        """Before a fork: wait for what runs, and close every connection."""
        self._writing.acquire()
        self._reading.acquire()
        self.watch.looking.acquire()
        self._drop_writer()
        self._drop_reader()
        self.watch.drop_connection()

    def go_on(self) -> None:
        """After a fork, in the parent and in the child."""
        self.watch.looking.release()
        self._reading.release()
        self._writing.release()

    def _writing_connection(self) -> FileConnection:
        writer = self._writer
        if writer is None or not writer.is_of(self._file):
            self._drop_writer()
            writer = self._writer = self._connect()
        return writer

    def _refuse_late(self, asked: float) -> None:
        """Raise for who has waited as long behind others that found the file locked: none waits for all of them."""
        if time.monotonic() - asked >= self._busy_timeout:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error

    def _write_failed(self, error: sqlite3.Error, kind: type[OperationalError]) -> Exception:
        if primary_code(error) in TEMPORARY:
            self._locked_at = time.monotonic()
        if primary_code(error) not in TEMPORARY or (self._writer and self._writer.in_transaction):
            self._drop_writer()
        return explain(error, self.location, kind)

    def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            connection.close()

    def _drop_reader(self) -> None:
        connection, self._reader = self._reader, None
        if connection is not None:
            connection.close()

    def _connect(self) -> FileConnection:
        # SQLite gives up at once, without its own waiting, when several open a new file and switch it to WAL.
        end = time.monotonic() + self._busy_timeout
        while True:
            try:
                return self._open()
            except sqlite3.OperationalError as error:
                if primary_code(error) not in TEMPORARY or time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def _open(self) -> FileConnection:
        connection: FileConnection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=FileConnection,
        )
        try:
            connection.file = _identity(self._file)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._refuse_foreign(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ImproperlyConfigured(
                f"{self.location}: SQLite cannot use its write-ahead log there (it stays in mode {mode!r}); the file"
                " must be on a disk of this machine. Use Redis to work across machines."
            )
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_WAL_KEPT}")
        if _pragma(connection, "user_version") < SCHEMA_VERSION:
            self._create(connection)

    def _refuse_foreign(self, connection: sqlite3.Connection) -> None:
        """Look, before anything is changed, whether the file is new or ours and of a version that we know."""
        # Another process may make the tables between two of these looks; they come with our mark, whole or not at all,
        # so the mark is looked at before the version, and once more before the file is called another program's.
        if _pragma(connection, "application_id") != APPLICATION_ID:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            is_used = tables or _pragma(connection, "user_version")
            if is_used and _pragma(connection, "application_id") != APPLICATION_ID:
                raise ImproperlyConfigured(
                    f"{self.location}: the file belongs to another program, and was left as it is; name another file."
                )
        elif not 0 < (version := _pragma(connection, "user_version")) <= SCHEMA_VERSION:
            raise ImproperlyConfigured(
                f"{self.location}: its tables are of version {version}, and this celeriac knows version"
                f" {SCHEMA_VERSION}; use the version of celeriac that made it, or name another file."
            )

    def _create(self, connection: sqlite3.Connection) -> None:
        """Make the tables that are missing: all, or those that later versions added."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement in queries.schema(beyond=_pragma(connection, "user_version")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  half the time of Path.stat, and each write pays for it
    return status.st_dev, status.st_ino


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held_still: list[Database] = []


def _before_fork() -> None:
    _held_still[:] = list(_databases)
    for database in _held_still:
        database.hold_still()


def _after_fork() -> None:
    for database in reversed(_held_still):
        database.go_on()
    _held_still.clear()


def _after_fork_in_child() -> None:
    for database in _held_still:
        database.watch.forget_thread()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
