"""What the benchmark must know of a system to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIDES = ROOT / "benchmarks" / "sides"


class Missing(Exception):
    """A system cannot be measured here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class System:
    """A task queue with its best settings for the work at hand, on one Redis database.

    `python` finds the interpreter that has it installed, or raises `Missing`. `side` is its module in `sides/`: the
    tasks, and how a client sends and reads; see `sides/client.py`. `worker` are the arguments of a node with two
    engines. `queues` are the keys that hold queued tasks and nothing else; `unfinished` are keys of which one exists
    as long as a task is queued or held. `pace` is how many tasks it gets for each that Celery gets, so that every
    measurement takes about as long.
    """

    name: str
    title: str
    python: Callable[[], str]
    side: str
    worker: tuple[str, ...]
    queues: tuple[str, ...]
    unfinished: tuple[str, ...]
    pace: float = 1.0
