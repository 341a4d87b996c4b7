"""Entry point of a spawned engine: ``python -m celeriac.worker.spawned ADDRESS INDEX``. Not for people."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Client

from celeriac.app.locate import locate
from celeriac.settings.layers import Layer
from celeriac.worker.board import EngineBoard
from celeriac.worker.engine_process import serve
from celeriac.worker.logs import LogSetup
from celeriac.worker.options import NodePlan


def main() -> int:
    """Connect back to the node, take its plan, import the application, and run."""
    address, index = sys.argv[1], int(sys.argv[2])
    pipe = Client(address, authkey=bytes.fromhex(os.environ.pop("CELERIAC_ENGINE_KEY")))
    plan = pipe.recv()
    if not isinstance(plan, NodePlan):
        raise TypeError(f"expected the node's plan, got {type(plan).__name__}")
    if plan.app_spec is None:
        raise ValueError("the plan names no application")
    app = locate(plan.app_spec).app
    app.conf.read(plan.settings, layer=Layer.COMMAND_LINE, source="the command line")
    app.import_modules()
    app.finalize()
    logs = LogSetup.of(app.conf, loglevel=plan.loglevel, logfile=plan.logfile, nodename=plan.nodename)
    board = EngineBoard.open(plan.board, index=index, rows=plan.rows)
    return serve(app, plan, logs, index, pipe, board)


if __name__ == "__main__":
    sys.exit(main())
