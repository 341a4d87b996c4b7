"""Opening `sqlite:///file`: a path, and how durable each commit is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from celeriac.drivers.sqlite.broker import SQLiteBroker
from celeriac.drivers.sqlite.client import Database
from celeriac.drivers.sqlite.coordinator import SQLiteCoordinator
from celeriac.drivers.sqlite.dead_letters import SQLiteDeadLetters
from celeriac.drivers.sqlite.groups import SQLiteGroups
from celeriac.drivers.sqlite.pubsub import SQLitePubSub
from celeriac.drivers.sqlite.results import SQLiteResults
from celeriac.drivers.sqlite.revocations import SQLiteRevocations
from celeriac.drivers.urls import split_url
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import Store, StoreOptions

USED_OPTIONS: Final = frozenset({"synchronous", "busy_timeout"})
BUSY_TIMEOUT: Final = 5.0


def open_store(url: str, options: StoreOptions) -> Store:
    """Open the file that the URL names: ``sqlite:///relative.db`` (to `StoreOptions.directory`) or
    ``sqlite:////absolute.db``.

    ``synchronous`` (NORMAL or FULL) and ``busy_timeout`` (seconds) are read from the URL's query, else from the
    transport options. Raises `ImproperlyConfigured` for a URL that names no file and for values that make no sense.
    """
    parts = split_url(url)
    chosen = {**options.transport_options, **dict(parse_qsl(parts.query))}
    database = Database(
        _path(url, parts.netloc, parts.path, options.directory),
        synchronous=_synchronous(chosen.get("synchronous", "NORMAL")),
        busy_timeout=_busy_timeout(chosen.get("busy_timeout", BUSY_TIMEOUT)),
    )
    clock = options.clock
    results = SQLiteResults(database, clock=clock)
    revocations = SQLiteRevocations(database, clock=clock)
    return Store(
        broker=SQLiteBroker(database, clock=clock, revocations=revocations),
        dead_letters=SQLiteDeadLetters(database, clock=clock),
        pubsub=SQLitePubSub(database, clock=clock),
        coordinator=SQLiteCoordinator(database, clock=clock),
        results=results,
        groups=SQLiteGroups(database, clock=clock),
        revocations=revocations,
        used_options=USED_OPTIONS,
    )


def _path(url: str, netloc: str, path: str, directory: str | None) -> Path:
    name = unquote(path[1:])
    if netloc:
        raise ImproperlyConfigured(f"{url}: a file needs three slashes, as in sqlite:///{netloc}{path}.")
    if name == ":memory:":
        raise ImproperlyConfigured(f"{url}: connections would not share it; use memory:// for a store in memory.")
    if not name or name.endswith("/"):
        raise ImproperlyConfigured(f"{url} names no file; write sqlite:///celeriac.db or sqlite:////var/lib/my.db.")
    return Path(directory or "", Path(name).expanduser()).absolute()


def _synchronous(value: Any) -> str:
    name = str(value).upper()
    if name not in ("NORMAL", "FULL"):
        raise ImproperlyConfigured(f"synchronous must be NORMAL or FULL, not {value!r}.")
    return name


def _busy_timeout(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0.0 <= seconds <= 3600.0:
        raise ImproperlyConfigured(f"busy_timeout must be a number of seconds from 0 to 3600, not {value!r}.")
    return seconds
