"""Stock Celery, in an environment of its own, with the settings that make it fastest (see `sides/celery_side.py`)."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.systems.system import ROOT, Missing, System


def _python() -> str:
    path = os.environ.get("CELERIAC_STOCK_PYTHON") or str(ROOT / ".venv-interop" / "bin" / "python")
    if not Path(path).exists():
        raise Missing("stock Celery: run `make bench`, or name its Python in CELERIAC_STOCK_PYTHON")
    return path


SYSTEM = System(
    name="celery",
    title="Celery",
    python=_python,
    side="celery_side",
    worker=(
        "-m", "celery", "-A", "celery_side", "worker", "-P", "prefork", "-c", "2", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ),
    queues=("celery",),
    unfinished=("celery", "unacked"),
)  # fmt: skip
