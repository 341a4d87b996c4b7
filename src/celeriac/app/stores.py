"""The stores of an application: which, from its settings; opened once, and again after a fork."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from celeriac import drivers
from celeriac.clock import Clock
from celeriac.exceptions import ImproperlyConfigured
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.dead_letters import DeadLetters
from celeriac.interfaces.groups import GroupStore
from celeriac.interfaces.pubsub import PubSub
from celeriac.interfaces.results import ResultBackend
from celeriac.interfaces.revocations import RevocationStore
from celeriac.interfaces.store import Store, StoreOptions
from celeriac.routing.queues import QueueSpec
from celeriac.settings.conf import Settings
from celeriac.settings.sources import find_pyproject
from celeriac.types import Seconds

logger = logging.getLogger(__name__)

_Tls: TypeAlias = bool | Mapping[str, Any] | None

DEFAULT_FILE: Final = "celeriac.db"
_BY_BROKER: Final = "rpc:"
"""Begins the URL by which results are sent as messages of the broker."""
_NO_BACKEND: Final = frozenset({"disabled", "disabled://"})


class Stores:
    """Opens the broker's and the results' store on first use. Thread-safe.

    A forked child opens its own: connections never cross a fork.
    """

    def __init__(self, conf: Settings, *, clock: Clock, find_queue: Callable[[str], QueueSpec]) -> None:
        self._conf = conf
        self._clock = clock
        self._find_queue = find_queue
        self._guard_opening = threading.RLock()
        self.tells_default: bool = True
        """Whether to log, once, that nothing is configured and where the embedded store is."""
        self._broker_store: Store | None = None
        self._result_store: Store | None = None
        # Where the first opening was: a file must stay the same one when the process, or its child, goes elsewhere.
        self._directory: str | None = None
        self._default_path: Path | None = None
        after_fork_in_child(self)

    @property
    def uses_default(self) -> bool:
        """Tell whether no broker is configured, so that the embedded one is used."""
        return self._broker_url() is None

    @property
    def broker(self) -> Broker:
        """The broker. Raises `ImproperlyConfigured` when the URL names a store that cannot be one."""
        store = self._broker_store or self._broker_side()
        if store.broker is None:
            raise ImproperlyConfigured("broker_url names a store that cannot serve as a broker.")
        return store.broker

    @property
    def dead_letters(self) -> DeadLetters:
        """The broker's dead letters. Raises `ImproperlyConfigured` when its store cannot show any."""
        store = self._broker_side()
        if store.dead_letters is None:
            raise ImproperlyConfigured(
                f"{self.broker.location} cannot show its dead letters: look at them with the tools of that store."
            )
        return store.dead_letters

    @property
    def pubsub(self) -> PubSub | None:
        """Broadcast of the broker's store; None where it has none."""
        return self._broker_side().pubsub

    @property
    def coordinator(self) -> Coordinator | None:
        """Locks and counters, of the broker's store or else the results'; None where neither has them."""
        coordinator = self._broker_side().coordinator
        if coordinator is None and self._result_side() is not None:
            return self._result_side().coordinator  # type: ignore[union-attr]  # checked the line above
        return coordinator

    @property
    def revocations(self) -> RevocationStore | None:
        """What is revoked, in the broker's store or else the results'; None where neither keeps it."""
        store = self._broker_side()
        if store.revocations is None:
            result_side = self._result_side()
            return None if result_side is None else result_side.revocations
        return store.revocations

    @property
    def broker_keeps_revocations(self) -> bool:
        """Whether they are in the broker's own store, which then tells of them when messages are received."""
        return self._broker_side().revocations is not None

    @property
    def results(self) -> ResultBackend | None:
        """The result store: the configured one, else the broker's own; None where that keeps no results."""
        store = self._result_store or self._result_side()
        if store is None:
            return None
        if store.results is None and self._conf.result_backend:
            raise ImproperlyConfigured("result_backend names a store that cannot keep results.")
        return store.results

    @property
    def results_ride(self) -> bool:
        """Tell whether acknowledgements take results along: both are in one store, which can do that in one step."""
        return self.broker.capabilities.stores_results and self._broker_side() is self._result_side()

    @property
    def groups(self) -> GroupStore | None:
        """Groups and chords, in the result store; None where that cannot count."""
        store = self._result_store or self._result_side()
        return None if store is None else store.groups

    @property
    def result_ttl(self) -> Seconds | None:
        """How long results live: Celery's day where a backend is configured, else an hour in the broker's store."""
        expires = self._conf.result_expires if self._conf.result_backend else self._conf.result_default_expires
        return expires or None

    @property
    def unused_options(self) -> Sequence[str]:
        """The ``broker_transport_options`` that mean nothing to this driver, sorted."""
        used = self._broker_side().used_options
        return sorted(set(self._conf.broker_transport_options) - used - {"visibility_timeout"})

    def load(self) -> None:
        """Import the drivers and make the stores, without connecting: processes forked from this one share them."""
        self._broker_side()
        self._result_side()

    def close(self) -> None:
        """Let go of all connections; the next use opens them again."""
        with self._guard_opening:
            stores = {id(store): store for store in (self._broker_store, self._result_store) if store is not None}
            self._broker_store = self._result_store = None
        for store in stores.values():
            for part in (store.broker, store.pubsub, store.coordinator, store.results):
                if part is not None:
                    part.close()

    def forget_parent(self) -> None:
        self._guard_opening = threading.RLock()
        self._broker_store = self._result_store = None

    def _broker_side(self) -> Store:
        store = self._broker_store
        if store is not None:
            return store
        with self._guard_opening:
            if self._broker_store is None:
                self._broker_store = self._open_broker()
            return self._broker_store

    def _result_side(self) -> Store | None:
        store = self._result_store
        if store is not None:
            return store
        url = self._conf.result_backend
        if url in _NO_BACKEND:
            return None
        with self._guard_opening:
            if self._result_store is None:
                self._result_store = self._open_results(url)
            return self._result_store

    def _open_results(self, url: str | None) -> Store:
        if not url or url.startswith(_BY_BROKER):
            store = self._broker_side()
            if url and (store.results is None or store.results.mailbox is None):
                raise ImproperlyConfigured(
                    "result_backend is rpc://, by which a RabbitMQ that is the broker sends results: set broker_url to"
                    " amqp://..., or result_backend to a store."
                )
            return store
        options = self._options(self._conf.result_backend_transport_options, self._conf.redis_backend_use_ssl)
        # At the same address, opened in the same way, both share connections, and what is known of them.
        conf = self._conf
        of_broker = self._options(conf.broker_transport_options, conf.broker_use_ssl)
        is_shared = url == self._broker_url() and options == of_broker
        return self._broker_side() if is_shared else drivers.load(url, options)

    def _open_broker(self) -> Store:
        url = self._broker_url()
        if url is None:
            path = self._default_path = self._default_path or _default_file()
            url = f"sqlite:///{quote(str(path))}"
            if self.tells_default:
                self.tells_default = False
                logger.warning(
                    "No broker is configured: tasks are kept in %s. Callers and workers must use the same file: start"
                    " them in the same directory or project, or set broker_url.",
                    path,
                )
        return drivers.load(url, self._broker_options())

    def _broker_url(self) -> str | None:
        """Return the one URL, several to be tried in turn joined by semicolons; None when none is configured."""
        conf = self._conf
        given = [url for url in (conf.broker_url, conf.broker_write_url, conf.broker_read_url) if url]
        urls = {url if isinstance(url, str) else ";".join(url) for url in given}
        if len(urls) > 1:
            raise ImproperlyConfigured(
                "broker_url, broker_read_url and broker_write_url differ, but callers and workers share one broker:"
                " set broker_url alone."
            )
        return urls.pop() if urls else None

    def _broker_options(self) -> StoreOptions:
        conf = self._conf
        options = self._options(conf.broker_transport_options, conf.broker_use_ssl)
        return msgspec.structs.replace(
            options,
            find_queue=self._find_queue,
            priorities=(conf.task_queue_max_priority or 0) + 1,
            delayed_queue_type=conf.broker_native_delayed_delivery_queue_type,
            heartbeat=conf.broker_heartbeat,
            login_method=conf.broker_login_method,
        )

    def _options(self, transport: Mapping[str, Any], tls: _Tls) -> StoreOptions:
        if self._directory is None:
            self._directory = _working_directory()
        return StoreOptions(
            transport_options=dict(transport),
            tls=tls or False,
            connect_timeout=self._conf.broker_connection_timeout,
            socket_timeout=self._conf.broker_publish_timeout,
            client_name=f"celeriac:{os.getpid()}",
            clock=self._clock,
            directory=self._directory,
            result_serializer=self._conf.result_serializer,
        )


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed; a store that is no file does not need it
        return None


def _default_file() -> Path:
    """Return the path of the embedded store: in the project of ``[tool.celeriac]``, else in the working directory."""
    found = find_pyproject()
    folder = found[0].parent if found is not None and found[1] else Path.cwd()
    return folder / DEFAULT_FILE
