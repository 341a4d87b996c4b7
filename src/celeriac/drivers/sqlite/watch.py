"""Waiting until the database changes: a thread listens for the bell and looks now and then, while anybody waits.

``PRAGMA data_version`` tells a connection whether any other one has committed. The thread's connection never writes,
so it sees the commits of this process too. ADR 0003 says why there is a bell, why it looks all the same, and what
that costs.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from celeriac.drivers.sqlite.bells import Bell, Ringer

LONGEST_PAUSE: Final = 0.5
"""Seconds between two looks of one who has a bell."""

SHORTEST_DEAF_PAUSE: Final = 0.001
LONGEST_DEAF_PAUSE: Final = 0.1
GROWTH: Final = 1.1
"""Seconds between two looks of one who has none: short after a change, growing while nothing happens."""

_joining = threading.Lock()
"""Guards `_families`, and the members of each."""


class _Family:
    """The watches of this process on one file, which ring one another. A tuple: each send goes through them."""

    def __init__(self) -> None:
        self.members: tuple[weakref.ref[Watch], ...] = ()

    def join(self, watch: Watch) -> None:
        alive = [member for member in self.members if member() is not None]
        self.members = (*alive, weakref.ref(watch))


_families: weakref.WeakValueDictionary[str, _Family] = weakref.WeakValueDictionary()


class Watch:
    """Wakes those who wait for a change of one database. Thread-safe.

    `changed` guards the generation and the number of waiters. Its lock is re-entrant, so that `ring` may be called by
    a signal handler that struck its holder. `looking` guards the thread's connection.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self.path = path
        self.looking = threading.RLock()
        self._connect = connect
        self._ringer = Ringer(path)
        self._changing = threading.RLock()
        self._changed = threading.Condition(self._changing)
        self._generation = 0
        self._waiters = 0
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._bell: Bell | None = None
        with _joining:
            self._family = _families.setdefault(path, _Family())
            self._family.join(self)

    @property
    def generation(self) -> int:
        """A number that grows with every change; read it before looking for what is awaited."""
        return self._generation

    def ring_everywhere(self) -> None:
        """Wake all who wait for this database, in this process and in others."""
        for member in self._family.members:
            watch = member()
            if watch is not None:
                watch.ring()
        self._ringer.ring()

    def ring(self) -> None:
        """Wake all who wait by this watch."""
        with self._changing:  # half the time that its condition takes, and every commit of this process pays for it
            self._generation += 1
            if self._waiters:
                self._changed.notify_all()

    def nudge(self) -> None:
        """Have those who wait see whether they still want to."""
        with self._changed:
            if self._waiters:
                self._changed.notify_all()

    def wait(self, seen: int, timeout: float, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Return when the generation is no longer `seen`, or after `timeout` seconds.

        Also when `unless` says so, which is asked at each `nudge`.
        """
        end = time.monotonic() + timeout
        with self._changed:
            if self._generation != seen or unless():
                return  # without a thread, which nobody would end when the database was just closed
            self._waiters += 1
            try:
                if self._thread is None:
                    self._start()
                elif self._waiters == 1:
                    self._changed.notify_all()
                while self._generation == seen and not unless() and (remaining := end - time.monotonic()) > 0:
                    self._changed.wait(remaining)
            finally:
                self._waiters -= 1

    def close(self) -> None:
        """End the thread and let go of its connection. The next `wait` starts them anew."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._generation += 1
            self._changed.notify_all()
        if self._bell is not None:
            self._ringer.ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)
        with self.looking:
            self.drop_connection()
        self._ringer.close()

    def drop_connection(self) -> None:
        """Close the connection; called with `looking` held. The thread opens another when it looks again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def forget_thread(self) -> None:
        """In a child process: the thread and those who waited stayed with the parent."""
        self._changing = threading.RLock()
        self._changed = threading.Condition(self._changing)
        self._thread = None
        self._waiters = 0
        self._ringer.start_anew()
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.leave_to_parent()

    def _start(self) -> None:
        """Start the thread; called with the lock held. Raises RuntimeError when the system has none, each time."""
        thread = threading.Thread(target=self._run, name="celeriac-sqlite-watch", daemon=True)
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        bell = self._bell = _hang_bell(self.path)
        try:
            self._listen(bell)
        finally:
            if bell is not None:
                bell.close()
            if self._bell is bell:
                self._bell = None

    def _listen(self, bell: Bell | None) -> None:
        pause = SHORTEST_DEAF_PAUSE
        while self._is_wanted():
            if self._has_changed():
                pause = SHORTEST_DEAF_PAUSE
                self.ring()
            if bell is not None:
                bell.wait(LONGEST_PAUSE)
            else:
                time.sleep(pause)
                pause = min(pause * GROWTH, LONGEST_DEAF_PAUSE)

    def _is_wanted(self) -> bool:
        """Return True when somebody waits, False when the thread shall end."""
        me = threading.current_thread()
        with self._changed:
            while self._thread is me and not self._waiters:
                self._changed.wait(60.0)
            return self._thread is me

    def _has_changed(self) -> bool:
        with self.looking:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._version = -1
                (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error:
                # Those who wait find the reason when they look for themselves, and raise it.
                self.drop_connection()
                return True
            last, self._version = self._version, int(version)
            return self._version != last


def _hang_bell(path: str) -> Bell | None:
    try:
        return Bell(path)
    except OSError:
        return None
