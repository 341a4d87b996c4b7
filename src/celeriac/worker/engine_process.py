"""What runs in an engine's own process: the engine, and a thread that listens to the supervisor."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection
from typing import Final

from celeriac import signals
from celeriac.app.base import Celeriac
from celeriac.types import Seconds
from celeriac.worker.board import EngineBoard
from celeriac.worker.engine import Engine
from celeriac.worker.ledger import RingLedger
from celeriac.worker.logs import LogSetup
from celeriac.worker.notes import Ending, Finished, Ready, Revoke, Stop, read_supervisor_note
from celeriac.worker.options import NodePlan
from celeriac.worker.zygote import ignore_stop_signals, wake_when_orphaned

logger = logging.getLogger(__name__)

_LOOK: Final[Seconds] = 5.0
"""Between two looks whether the pipe is still there: each takes 0.1 ms."""


def serve(  # noqa: PLR0913  the parts of a process
    app: Celeriac, plan: NodePlan, logs: LogSetup, index: int, pipe: Connection, board: EngineBoard
) -> int:
    """Run one engine until the supervisor says stop, or is gone; return the exit code."""
    ignore_stop_signals()
    wake_when_orphaned()
    multiprocessing.current_process().name = f"Engine-{index}"
    logs.install(index=index)
    ledger = RingLedger(board.ring, pipe)
    try:
        signals.worker_process_init.send(sender=None)
        engine = Engine(app, plan, ledger, index=index, board=board)
        listener = threading.Thread(
            target=_listen, args=(engine, ledger, pipe, plan.lease), name="celeriac-supervisor", daemon=True
        )
        listener.start()
        ledger.send(Ready())
        worn = engine.run()
    except Exception as error:
        logger.exception("Engine %s failed", index)
        ledger.send(Finished(f"{type(error).__name__}: {error}"))
        return 1
    signals.worker_process_shutdown.send(sender=None, pid=None, exitcode=0)
    app.close()
    ledger.send(Finished(worn=worn))
    return 0


def _listen(engine: Engine, ledger: RingLedger, pipe: Connection, lease: Seconds) -> None:
    """Do what the supervisor says. When it is gone nobody renews our leases: stop, and finish what can be finished.

    When the pipe is no longer what it was, a task has closed this process's descriptors, and nothing can be stored
    either: the process ends at once, so that the supervisor sees to what it held.
    """
    number = pipe.fileno()
    begun_with = _identity(number)
    while True:
        try:
            is_there = pipe.poll(_LOOK)  # a read that waits would not notice that its descriptor is closed
            _end_unless(_identity(number) == begun_with)
            if not is_there:
                continue
            note = read_supervisor_note(pipe.recv_bytes())
        except (EOFError, OSError):
            _end_unless(_identity(number) == begun_with)
            logger.error("The node's supervisor is gone; this engine stops")
            engine.stop()
            # Nobody renews its leases now: what still runs when they end is run by others.
            time.sleep(lease)
            os._exit(1)
        if isinstance(note, Stop):
            engine.stop(now=note.now)
            if note.now:
                return
        elif isinstance(note, Revoke):
            ledger.send(Ending(dict(engine.revoke(note.revocations))))
        else:
            engine.lost(note.tags)


def _end_unless(is_the_same: bool) -> None:  # noqa: FBT001  all that it is about
    if not is_the_same:
        logger.critical("The file descriptors of this engine were closed, perhaps by a task; it ends")
        os._exit(1)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what tells the open file apart from all others; None where it is closed, or the system cannot tell."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
