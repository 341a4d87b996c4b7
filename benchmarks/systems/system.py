"""What the benchmark must know of a system to run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
SIDES = ROOT / "benchmarks" / "sides"


class Missing(Exception):
    """A system cannot be measured here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a node shall have.

    `engines`: so many processes, with what inside makes the most of them. `slots`: so many tasks at once, neither
    more nor fewer, that share no interpreter. `threads` and `coroutines`: the same number, on what suits tasks that
    wait.
    """

    kind: Literal["engines", "slots", "threads", "coroutines"]
    slots: int


TWO_ENGINES = Shape("engines", 2)


Work = Literal["many", "quick", "mixed", "waiting"]
"""What the tasks are like, for systems that want to be set up for it: many short ones, few that somebody waits for,
long and short ones, or such as wait themselves."""


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """Where tasks lie in Redis: `queues` hold queued ones; of `unfinished` one exists while any is queued or held."""

    queues: tuple[str, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SqliteRows:
    """Where tasks lie in SQLite: statements that hide and show what is queued, a query that yields what is left."""

    hide: str
    show: str
    unfinished: str


@dataclass(frozen=True, slots=True)
class System:
    """A task queue with its best settings for the work at hand.

    `python` finds the interpreter that has it installed, or raises `Missing`. `side` is its module in `sides/`: the
    tasks, and how a client sends and reads; see `sides/client.py`. `worker` gives the arguments of a node of a shape,
    None where the system has no such thing. `pace` is how many tasks it gets for each that Celery gets, so that every
    measurement takes about as long. `imports` is what a program that uses it writes first. `tuned` are variables for
    its processes by the work. `on_sqlite` is the same system with its tasks in a SQLite file.
    """

    name: str
    title: str
    python: Callable[[], str]
    side: str
    worker: Callable[[Shape], tuple[str, ...] | None]
    tasks_in: RedisKeys | SqliteRows
    imports: str
    pace: float = 1.0
    tuned: Mapping[Work, Mapping[str, str]] = field(default_factory=dict)
    on_sqlite: System | None = None


def python_of(folder: str, variable: str, what: str) -> Callable[[], str]:
    """Return what finds the Python of an environment that scripts/bootstrap.py makes, or that the variable names."""

    def find() -> str:
        path = os.environ.get(variable) or str(ROOT / folder / "bin" / "python")
        if not Path(path).exists():
            raise Missing(f"{what}: run `make bench`, or name its Python in {variable}")
        return path

    return find
