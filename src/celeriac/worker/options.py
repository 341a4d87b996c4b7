"""What a worker is started with, and what becomes of it together with the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.conf import Settings
from celeriac.settings.layers import Layer
from celeriac.types import Seconds
from celeriac.wire.content import accepted
from celeriac.worker.health_file import check_health_file
from celeriac.worker.nodename import expand, full_name

Pool = Literal["prefork", "threads", "solo"]
_MOST: Final = 10_000_000
"""Tasks at once in a node: the account that it keeps of them takes 8 GB, and more with many processes."""
_POOLS: Final[dict[str, Pool]] = {"prefork": "prefork", "processes": "prefork", "threads": "threads", "solo": "solo"}


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The command line of ``celeriac worker``. None leaves a thing to the settings.

    `concurrency` is the number of synchronous tasks at once: processes in prefork, threads in threads. `processes`
    with `threads` gives that many engines of that many threads. `app_spec` names the application for engines that
    cannot inherit it (start method spawn).
    """

    hostname: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    processes: int | None = None
    threads: int | None = None
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    loglevel: str = "WARNING"
    logfile: str | None = None
    pidfile: str | None = None
    purge: bool = False
    app_spec: str | None = None


class NodePlan(Struct, frozen=True):
    """How a node runs. `slots` is the number of synchronous tasks at once in each engine; spans are in seconds.

    `board` is where spawned engines open the memory in which they write down what they run (see `Board.path`),
    `custodian` what engines give to `Broker.entrust`.

    `inline` runs them in the engine's main thread (one slot). `in_process` puts the one engine into the node's own
    process. `settings` are those of the command line, for engines that cannot inherit them. `token` tells it from other
    nodes of its name.
    """

    nodename: str
    pool: Pool
    engines: int
    slots: int
    inline: bool
    in_process: bool
    async_slots: int
    queues: tuple[str, ...]
    lease: Seconds
    grace: Seconds | None
    start_method: Literal["fork", "spawn"]
    app_spec: str | None
    board: str
    custodian: str
    loglevel: str
    logfile: str | None
    settings: Mapping[str, Any] = {}
    token: str = ""

    def owner(self, index: int) -> str:
        """Return as whose messages are held that an engine of this node claims; no other node's are."""
        return f"{self.nodename}/{index}-{self.token}"

    @property
    def rows(self) -> int:
        """How many tasks of both kinds an engine can run at once."""
        return self.slots + self.async_slots


def plan(options: WorkerOptions, conf: Settings, *, queues: tuple[str, ...]) -> NodePlan:
    """Bring command line and settings together. Raises `ImproperlyConfigured` for what cannot be."""
    pool = _pool(options.pool or conf.worker_pool)
    engines, slots, inline = _shape(pool, options, conf)
    numbers = (
        ("concurrency", engines),
        ("threads", slots),
        ("worker_async_concurrency", conf.worker_async_concurrency),
    )
    for what, number in numbers:
        if number < 1:
            raise ImproperlyConfigured(f"{what} must be at least 1, not {number}.")
    if engines * (slots + conf.worker_async_concurrency) > _MOST:
        raise ImproperlyConfigured(
            f"{engines} processes of {slots} threads and worker_async_concurrency={conf.worker_async_concurrency} each"
            f" are more than {_MOST} tasks at once: lower worker_concurrency or worker_async_concurrency."
        )
    _check_content(conf)
    nodename = full_name(options.hostname)
    check_health_file(conf.worker_health_file, nodename)
    method = conf.worker_pool_start_method if hasattr(os, "fork") else "spawn"
    if method not in ("fork", "spawn"):
        raise ImproperlyConfigured(f"worker_pool_start_method must be fork or spawn, not {method!r}.")
    return NodePlan(
        nodename=nodename,
        pool=pool if inline else "threads",
        engines=engines,
        slots=slots,
        inline=inline,
        in_process=pool == "solo",
        async_slots=conf.worker_async_concurrency,
        queues=queues,
        lease=_lease(conf),
        grace=conf.worker_shutdown_grace,
        start_method="fork" if method == "fork" else "spawn",
        app_spec=options.app_spec,
        board="",
        custodian="",
        loglevel=options.loglevel,
        logfile=expand(options.logfile, nodename) if options.logfile else None,
        settings=conf.given(Layer.COMMAND_LINE),
        token=os.urandom(4).hex(),
    )


def _pool(name: str) -> Pool:
    pool = _POOLS.get(name)
    if pool is None:
        known = ", ".join(dict.fromkeys(_POOLS.values()))
        hint = " Write `async def` tasks instead: every pool runs them." if name in ("gevent", "eventlet") else ""
        raise ImproperlyConfigured(f"There is no pool {name!r}; known: {known}.{hint}")
    return pool


def _shape(pool: Pool, options: WorkerOptions, conf: Settings) -> tuple[int, int, bool]:
    """Return engines, slots of each, and whether the slot is the main thread."""
    number = options.concurrency or conf.worker_concurrency or _cores()
    if pool == "solo":
        return 1, 1, True
    if options.processes and options.threads:
        return options.processes, options.threads, False
    if pool == "threads" or options.threads:
        return options.processes or 1, options.threads or number, False
    return options.processes or number, 1, True


def _cores() -> int:
    """Return how many cores this process may use: a machine, or a container with a set of cores, may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_content(conf: Settings) -> None:
    """Raise `ImproperlyConfigured` for names of serializers that nobody has registered, before an engine meets them."""
    named = {
        "accept_content": conf.accept_content,
        "result_serializer": (conf.result_serializer,),
        "task_serializer": (conf.task_serializer,),
    }
    for name, serializers in named.items():
        try:
            accepted(serializers)
        except ImproperlyConfigured as error:
            raise ImproperlyConfigured(f"{name}: {error}") from error


def _lease(conf: Settings) -> Seconds:
    """Return Celery's ``visibility_timeout`` where it is set, else ``worker_lease``."""
    lease = conf.broker_transport_options.get("visibility_timeout", conf.worker_lease)
    if not isinstance(lease, int | float) or isinstance(lease, bool) or not isfinite(lease) or lease <= 0:
        raise ImproperlyConfigured(f"visibility_timeout must be a number of seconds above 0, not {lease!r}.")
    return float(lease)
