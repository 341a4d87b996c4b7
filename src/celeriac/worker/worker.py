"""The node: composition root of ``celeriac worker``. Builds all parts in order and stops them in reverse."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Final

import click
import msgspec

from celeriac import signals
from celeriac.app.base import Celeriac
from celeriac.exceptions import BrokerError, ImproperlyConfigured
from celeriac.interfaces.broker import Broker, Lease
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds
from celeriac.worker.acks import acks_timeouts
from celeriac.worker.banner import banner
from celeriac.worker.board import Board
from celeriac.worker.chords import sequels_of
from celeriac.worker.commands import Commands
from celeriac.worker.engine import Engine
from celeriac.worker.engine_process import serve
from celeriac.worker.health import Health, Round
from celeriac.worker.health_file import health_path
from celeriac.worker.holdings import Holdings
from celeriac.worker.last_resort import LastResort
from celeriac.worker.launch import ForkLauncher, Launcher, SpawnLauncher
from celeriac.worker.leases import Holder, LeaseKeeper
from celeriac.worker.logs import LogSetup
from celeriac.worker.options import NodePlan, WorkerOptions, plan
from celeriac.worker.pidfile import pidfile
from celeriac.worker.pulse import Pulse
from celeriac.worker.recovery import Recovery
from celeriac.worker.remote_control import RemoteControl
from celeriac.worker.revoked import Revoked
from celeriac.worker.stop_signals import StopSignals
from celeriac.worker.supervisor import Supervisor
from celeriac.worker.unused import unkept_limits, unused_attributes
from celeriac.worker.upkeep import UpkeepLoop
from celeriac.worker.watch import WatchLoop

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final[Seconds] = 0.2
_LONGEST_PAUSE: Final[Seconds] = 5.0
_FORCE: Final[Seconds] = 1.0
"""Seconds that an engine in the node's own process gets to end after it was told to stop at once."""
_UNENDING: Final[Seconds] = 10.0
_ANNOUNCING: Final[Seconds] = 1.0
"""Seconds beyond the grace after which a node whose engines run beside it is ended, if it does not end by itself."""
_SELDOM: Final[Seconds] = 60.0
_OFTEN: Final[Seconds] = 10.0
"""Between two looks for what was missed of what is revoked: a broadcast reaches at most those who listen."""
_MARGIN: Final[Seconds] = 2.0
"""Seconds beyond the grace that it gets to give back by itself what did not end in time."""


class Worker:
    """A node. `run` blocks until TERM or INT (warm: finish what runs), a second one or QUIT (give back what runs)."""

    def __init__(self, app: Celeriac, options: WorkerOptions) -> None:
        self._app = app
        self._options = options
        self._guard_stopping = threading.Lock()
        self._stop: Callable[..., None] | None = None
        self._stopped, self._announced = threading.Event(), threading.Event()
        self._asked_now = False

    def run(self) -> int:
        """Run the node; return its exit code. Raises `ImproperlyConfigured` for what cannot be started."""
        app, options = self._app, self._options
        for module in options.include:
            import_module(module)
        app.import_modules()
        app.finalize()
        specs = app.router.select(options.queues or None, options.exclude_queues)
        node = plan(options, app.conf, queues=tuple(spec.name for spec in specs))
        logs = LogSetup.of(app.conf, loglevel=options.loglevel, logfile=options.logfile, nodename=node.nodename)
        app.stores.tells_default = False  # the banner does
        app.stores.load()  # before the fork: what is imported now is shared by all engines
        if not node.in_process and not app.broker.capabilities.shared:
            raise ImproperlyConfigured(
                f"{app.broker.location} is seen by one process alone, and pool {node.pool} runs tasks in others: start"
                " the worker with -P solo, or use another broker (with none configured, tasks are kept in a file)."
            )
        with pidfile(options.pidfile):
            # The zygote is forked while the process has one thread and no connection.
            is_spawned = node.start_method == "spawn" and not node.in_process
            board = Board(engines=node.engines, rows=node.rows, is_spawned=is_spawned)
            custodian = "" if node.in_process else app.broker.take_custody()
            node = msgspec.structs.replace(node, board=board.path, custodian=custodian)
            launcher = None if node.in_process else self._launcher(node, logs, board)
            logs.install()
            stop_signals = StopSignals(self._on_stop)
            stop_signals.start()
            signals.worker_init.send(sender=self)
            health = self._health(node)
            health.start()
            try:
                if not self._connect(lambda: app.broker.declare(specs)):
                    return int(health.gave_up)
                self._say_hello(node)
                if launcher is None:
                    return self._run_in_process(node, health)
                return self._run_engines(node, launcher, board, health)
            finally:
                health.stop()
                board.close()
                signals.worker_shutdown.send(sender=self)
                if launcher is not None:
                    launcher.close()
                app.close()
                stop_signals.close()

    # -- parts ------------------------------------------------------------------------------------------------------

    def _launcher(self, node: NodePlan, logs: LogSetup, board: Board) -> Launcher:
        if node.start_method == "spawn":
            return SpawnLauncher(node, board.handle)
        if threading.active_count() > 1:
            names = ", ".join(thread.name for thread in threading.enumerate())
            warnings.warn(
                f"Importing the application has started threads ({names}); they do not exist in engines. Start them"
                " from the signal worker_process_init instead.",
                RuntimeWarning,
                stacklevel=2,
            )
        if any(task.is_async for task in self._app.tasks.values()):
            import celeriac.worker.executors.loops  # noqa: F401, PLC0415  ADR 0004; here, and not in each engine
        return ForkLauncher(lambda index, pipe: serve(self._app, node, logs, index, pipe, board.of(index)))

    def _health(self, node: NodePlan) -> Health:
        conf = self._app.conf
        return Health(
            health_path(conf.worker_health_file, node.nodename),
            node.nodename,
            limit=conf.worker_health_limit,
            lease=node.lease,
            exit_after=conf.worker_health_exit_after,
            give_up=lambda: self._on_stop(False),
            is_stopping=self._stopped.is_set,
        )

    def _remote_control(
        self, node: NodePlan, revoked: Revoked, tell: Callable[[Sequence[Revocation]], object]
    ) -> RemoteControl:
        conf = self._app.conf
        commands = Commands(revoked, tell=tell, ttl=conf.task_revoke_expires)
        pubsub = self._app.pubsub if conf.worker_enable_remote_control else None
        is_told = pubsub is not None and self._app.stores.broker_keeps_revocations  # by claims, for what has not begun
        return RemoteControl(
            pubsub,
            nodename=node.nodename,
            prefix=conf.control_exchange,
            obey=commands.obey,
            refresh=commands.refresh,
            refresh_every=_SELDOM if is_told else _OFTEN,
        )

    def _observe(
        self, health: Health, node: NodePlan, pulses: Sequence[Pulse], leases: LeaseKeeper, upkeep: UpkeepLoop
    ) -> None:
        rounds = {"upkeep": Round(lambda: upkeep.last_done, self._app.conf.worker_health_limit)}
        if self._app.broker.capabilities.leases:
            rounds["leases"] = Round(lambda: leases.last_done, node.lease)
        health.observe(pulses, rounds)

    def _run_engines(self, node: NodePlan, launcher: Launcher, board: Board, health: Health) -> int:
        app = self._app
        boards = [board.of(index) for index in range(1, node.engines + 1)]
        revoked = Revoked(app.stores.revocations)
        timeouts = acks_timeouts(app.tasks, app.conf)
        coroutines = frozenset(name for name, task in app.tasks.items() if task.is_async)
        recovery = Recovery(
            app.broker,
            app.writer,
            acks_timeouts=timeouts,
            owner=node.owner,
            coroutines=coroutines,
            clock=app.clock,
        )
        supervisor = Supervisor(
            launcher,
            recovery,
            boards=boards,
            grace=node.grace,
            on_ready=lambda: self._ready(node),
            revoked=lambda: () if revoked.store is not None else revoked.all(),
        )
        last_resort = LastResort(_say_it_will_not_end, exit_code=lambda: 1)

        def stop(*, now: bool) -> None:
            supervisor.stop(now=now)
            if now or node.grace is not None:
                last_resort.end_after(_UNENDING if now else (node.grace or 0.0) + _UNENDING)

        self._stop_with(stop)
        leases = LeaseKeeper(
            app.broker, lease=node.lease, holders=supervisor.holders(), lost=supervisor.lost, clock=app.clock
        )
        upkeep = UpkeepLoop(app.broker, app.results, clock=app.clock, chords=sequels_of(app)[1])
        watch = WatchLoop(app.broker, queues=node.queues, on_delayed=upkeep.hurry)
        control = self._remote_control(node, revoked, supervisor.revoke)
        leases.start()
        upkeep.start()
        watch.start()
        control.start()
        self._observe(health, node, [each.pulse for each in boards], leases, upkeep)
        try:
            return supervisor.run() or int(health.gave_up)
        finally:
            self._say_stopped(node)
            last_resort.stand_down()
            control.stop()
            watch.stop()
            upkeep.stop()
            leases.stop()

    def _run_in_process(self, node: NodePlan, health: Health) -> int:
        app = self._app
        holdings = Holdings()
        engine = Engine(app, node, holdings, index=1)

        def lost(leases: Sequence[Lease]) -> None:
            tags = [lease.tag for lease in leases]
            engine.lost(tags)
            holdings.settled(tags)

        last_resort = LastResort(partial(_give_back, app.broker, holdings), exit_code=lambda: int(health.gave_up))

        def stop(*, now: bool) -> None:
            engine.stop(now=now)
            if now:
                last_resort.end_after(_FORCE)
            elif node.grace is not None:
                last_resort.end_after(node.grace + _MARGIN)

        self._stop_with(stop)
        leases = LeaseKeeper(
            app.broker, lease=node.lease, holders=[Holder(holdings, engine.renewals)], lost=lost, clock=app.clock
        )
        upkeep = UpkeepLoop(app.broker, app.results, clock=app.clock, chords=sequels_of(app)[1])
        watch = WatchLoop(app.broker, queues=node.queues, on_delayed=upkeep.hurry)
        control = self._remote_control(node, Revoked(app.stores.revocations), engine.revoke)
        leases.start()
        upkeep.start()
        watch.start()
        control.start()
        self._observe(health, node, [engine.pulse], leases, upkeep)
        try:
            self._ready(node)
            engine.run()
        finally:
            self._say_stopped(node)
            last_resort.stand_down()
            control.stop()
            watch.stop()
            upkeep.stop()
            leases.stop()
        return int(health.gave_up)

    # -- start and stop ---------------------------------------------------------------------------------------------

    def _connect(self, declare: Callable[[], None]) -> bool:
        """Reach the broker and declare the queues, however long it takes. False when told to stop meanwhile."""
        retry = self._app.conf.broker_connection_retry_on_startup is not False
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                self._app.broker.connect()
                declare()
                if self._options.purge:
                    self._purge()
            except BrokerError as error:
                if not retry:
                    raise
                logger.error("Cannot reach %s; trying again in %.1f s: %s", self._app.broker.location, pause, error)
                self._stopped.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                return True
        return False

    def _purge(self) -> None:
        for queue in self._app.queue_names():
            logger.warning("Purged %s messages from queue %s", self._app.broker.purge(queue), queue)

    def _say_hello(self, node: NodePlan) -> None:
        app = self._app
        click.echo(banner(app, node), file=sys.__stdout__)
        for notice in app.conf.notices():
            logger.warning(notice)
        for notice in unused_attributes(app.tasks.values()):
            logger.warning(notice)
        if node.in_process or not node.inline:
            for notice in unkept_limits(app.tasks.values(), app.conf.task_time_limit):
                logger.warning(notice)
        unused = app.stores.unused_options
        if unused:
            logger.warning("broker_transport_options without effect on this broker: %s", ", ".join(unused))

    def _ready(self, node: NodePlan) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s ready.", node.nodename)
        elif logger.isEnabledFor(logging.WARNING):  # the default: whoever started it wants to know
            click.echo(f"{node.nodename} ready.", file=sys.__stdout__)
        signals.worker_ready.send(sender=self)

    def _say_stopped(self, node: NodePlan) -> None:
        if self._stopped.is_set():
            self._announced.wait(_ANNOUNCING)  # another thread says it, perhaps to a log that nobody reads
            logger.warning("%s has stopped: what ran has ended or was given back", node.nodename)

    def _on_stop(self, now: bool) -> None:  # noqa: FBT001  what StopSignals says
        with self._guard_stopping:
            self._asked_now = self._asked_now or now
            self._stopped.set()
            stop = self._stop
        if stop is not None:
            stop(now=now)
        if now:
            logger.warning("Cold shutdown: what runs is given back")
        else:
            logger.warning("Warm shutdown: what runs may end, what waits is given back; a second signal stops at once")
        self._announced.set()

    def _stop_with(self, stop: Callable[..., None]) -> None:
        """Hand requests to stop on to `stop`; also one that came before."""
        with self._guard_stopping:
            self._stop = stop
            asked = self._stopped.is_set()
        if asked:
            stop(now=self._asked_now)


def _give_back(broker: Broker, holdings: Holdings) -> None:
    leases = holdings.take_all()
    try:
        if leases:
            broker.requeue(leases)
    except BrokerError as error:
        logger.error("%s tasks run again only when their leases end: %s", len(leases), error)
    logger.warning("A task still runs; it is ended with this process, and %s tasks are given back", len(leases))


def _say_it_will_not_end() -> None:
    logger.error("The node does not end, perhaps because nobody reads its log; it is ended. What it held runs again.")
