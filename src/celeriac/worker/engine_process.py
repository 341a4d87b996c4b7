"""What runs in an engine's own process: the engine, and a thread that listens to the supervisor."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection

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
    """Do what the supervisor says. When it is gone nobody renews our leases: stop, and finish what can be finished."""
    while True:
        try:
            note = read_supervisor_note(pipe.recv_bytes())
        except (EOFError, OSError):
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
