"""What the benchmark must know of a system to run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

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


Work = Literal["many", "quick", "mixed", "waiting", "confirmed"]
"""What the tasks are like, for systems that want to be set up for it: many short ones, few that somebody waits for,
long and short ones, such as wait themselves, or such as are sent only when the store has said that it has them."""

StoreName = Literal["redis", "sqlite", "rabbitmq"]


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """Where tasks lie in Redis: `queues` hold queued ones; of `unfinished` one exists while any is queued or held."""

    store: ClassVar[StoreName] = "redis"

    queues: tuple[str, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SqliteRows:
    """Where tasks lie in SQLite: statements that hide and show what is queued, a query that yields what is left."""

    store: ClassVar[StoreName] = "sqlite"

    hide: str
    show: str
    unfinished: str


@dataclass(frozen=True, slots=True)
class RabbitQueues:
    """Where tasks lie in RabbitMQ: none is unfinished when these queues, as far as they exist, hold nothing."""

    store: ClassVar[StoreName] = "rabbitmq"

    queues: tuple[str, ...]


TasksIn = RedisKeys | SqliteRows | RabbitQueues


@dataclass(frozen=True, slots=True)
class System:
    """A task queue with its best settings for the work at hand.

    `python` finds the interpreter that has it installed, or raises `Missing`. `side` is its module in `sides/`: the
    tasks, and how a client sends and reads; see `sides/client.py`. `worker` gives the arguments of a node of a shape,
    None where the system has no such thing. `pace` is how many tasks it gets for each that Celery gets, so that every
    measurement takes about as long. `imports` is what a program that uses it writes first. `tuned` are variables for
    its processes by the work. `elsewhere` are the same system with its tasks in other stores.
    """

    name: str
    title: str
    python: Callable[[], str]
    side: str
    worker: Callable[[Shape], tuple[str, ...] | None]
    tasks_in: TasksIn
    imports: str
    pace: float = 1.0
    tuned: Mapping[Work, Mapping[str, str]] = field(default_factory=dict)
    elsewhere: tuple[System, ...] = ()

    def on(self, store: StoreName) -> System | None:
        """Return the system with its tasks in that store; None where it has no such thing."""
        return next((system for system in (self, *self.elsewhere) if system.tasks_in.store == store), None)


def python_of(folder: str, variable: str, what: str) -> Callable[[], str]:
    """Return what finds the Python of an environment that scripts/bootstrap.py makes, or that the variable names."""

    def find() -> str:
        path = os.environ.get(variable) or str(ROOT / folder / "bin" / "python")
        if not Path(path).exists():
            raise Missing(f"{what}: run `make bench`, or name its Python in {variable}")
        return path

    return find
