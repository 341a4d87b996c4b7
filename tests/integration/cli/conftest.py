"""A user's directory with a module of tasks, and the commands typed in it as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TASKS = """\
from celeriac import Celery

celery = Celery("tasks")


@celery.task
def add(x, y):
    return x + y


@celery.task
def fail():
    raise ValueError("no such thing")
"""

DEADLINE = 15.0


class Shop:
    """A user's directory with a module of tasks, and the commands typed in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "tasks.py").write_text(TASKS, encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CELERIAC_", "CELERY_"))}
        self.environment = kept | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.workers: list[subprocess.Popen[bytes]] = []

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celeriac", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def start_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.directory / "worker.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "celeriac", "-A", "tasks", "worker", "-l", "info", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.workers.append(process)
        return process

    def log(self) -> str:
        return (self.directory / "worker.log").read_text(encoding="utf-8", errors="replace")

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not holds():
            assert time.monotonic() < end, f"not within {DEADLINE} s; the worker's log:\n{self.log()}"
            time.sleep(0.05)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    for process in made.workers:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
