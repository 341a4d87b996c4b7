"""docs/life-of-a-task.md tells the way that a task really takes."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest

from celeriac.result import AsyncResult
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "life-of-a-task.md").read_text("utf-8")
SOURCE = ROOT / "src" / "celeriac"
ROW = re.compile(r"^\| (\d+) \| `([\w/*.]+\.py)` \| `([\w.*]+)` \|", re.MULTILINE)


class Hop(NamedTuple):
    """A row of the tables. A star stands for a driver: here the one in memory."""

    number: int
    file: str
    function: str

    @property
    def module(self) -> str:
        return "celeriac." + self.file.replace("*", "memory").removesuffix(".py").replace("/", ".")

    def find(self) -> Any:
        found: Any = importlib.import_module(self.module)
        for part in self.function.replace("*", "Memory").split("."):
            found = getattr(found, part)
        return found

    @property
    def code(self) -> CodeType:
        function = self.find()
        assert isinstance(function, FunctionType), function
        return function.__code__


HOPS = [Hop(int(number), file, function) for number, file, function in ROW.findall(PAGE)]


def test_the_steps_are_numbered_one_by_one():
    assert [hop.number for hop in HOPS] == list(range(1, len(HOPS) + 1))
    assert len(HOPS) > 20


@pytest.mark.parametrize("hop", HOPS, ids=lambda hop: hop.function)
def test_every_function_is_where_the_page_says(hop):
    assert hop.code.co_filename.endswith(hop.file.replace("*", "memory"))


@pytest.mark.parametrize("hop", [hop for hop in HOPS if "*" in hop.file], ids=lambda hop: hop.function)
@pytest.mark.parametrize("driver", [path.parent.name for path in SOURCE.glob("drivers/*/store.py")])
def test_every_driver_has_the_files_that_a_star_stands_for(hop, driver):
    file = SOURCE / hop.file.replace("*", driver)
    if not file.exists():
        assert f"{file.stem}=" not in (SOURCE / f"drivers/{driver}/store.py").read_text("utf-8")
        return
    text = file.read_text("utf-8")
    ending, method = hop.function.removeprefix("*").split(".")
    assert re.search(rf"^class \w+{ending}\b", text, re.MULTILINE)
    assert f"    def {method}(" in text


def test_every_file_that_the_page_names_is_there():
    named = {name for name in re.findall(r"`([\w/.-]+\.(?:py|md))`|`(docs/[\w/]+/)`", PAGE) for name in name if name}
    bases = (SOURCE, ROOT, SOURCE / "worker" / "executors")
    assert [name for name in sorted(named) if not any((base / name).exists() for base in bases)] == []


def test_every_setting_that_the_page_names_exists(spine):
    named = set(re.findall(r"`((?:broker|worker|task|result)_\w+)`", PAGE))
    assert named
    assert [name for name in named if name not in spine.app.conf] == []


@contextmanager
def calls_of(codes: set[CodeType]) -> Iterator[list[CodeType]]:
    """Note which of these functions are called, in all threads, in order."""
    called: list[CodeType] = []

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code in codes:
            called.append(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # None ends it, whatever the stubs say


def way_of_a_task(spine: Any, function: Callable[[], Any]) -> AsyncResult[Any]:
    """Send a task, run it in an engine, and wait for its end."""
    engines: list[Engine] = []

    @spine.app.task(name="work")
    def work() -> Any:
        engines[0].stop()  # after this one
        return function()

    result = work.delay()
    node = plan(WorkerOptions(pool="solo", hostname="n@h"), spine.app.conf, queues=("celery",))

    def engine() -> None:
        engines.append(Engine(spine.app, node, Holdings(), index=1))
        engines[0].run()

    with ThreadPoolExecutor(1) as pool:  # in the main thread it would take SIGALRM for itself
        pool.submit(engine).result(10)
    result.get(propagate=False)
    return result


@pytest.mark.parametrize("function", [lambda: "value", lambda: 1 / 0], ids=["succeeds", "fails"])
def test_a_task_takes_the_steps_in_their_order(spine, function):
    by_code = {hop.code: hop for hop in HOPS}
    with calls_of(set(by_code)) as called:
        way_of_a_task(spine, function)
    left = iter(called)
    missing = [hop for hop in HOPS if not any(code is hop.code for code in left)]
    assert missing == [], [by_code[code].function for code in called]
