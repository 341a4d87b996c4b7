"""The tasks of which the tests make workflows. Each notes its label when it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celeriac import Celeriac, group
from celeriac.exceptions import Ignore, Reject


class Broken(Exception):
    """What tasks fail with."""


@dataclass
class Tasks:
    """What `make_tasks` made."""

    step: Any
    fail: Any
    flaky: Any
    replace: Any
    give_up: Any
    grow: Any
    fan_out: Any


def make_tasks(app: Celeriac, note: Callable[[str], None], *, is_async: bool = False) -> Tasks:
    """Give an application the tasks, as coroutines if wanted; `note` is called with the label of each run."""

    task = _maker(app, is_async=is_async)

    @task("step")
    def step(*values: Any, label: str) -> str:
        note(label)
        return f"{label}({','.join(map(short, values))})"

    @task("fail")
    def fail(*_values: Any, label: str) -> None:
        note(label)
        raise Broken(label)

    @task("flaky", bind=True, max_retries=5)
    def flaky(self: Any, *values: Any, label: str, times: int) -> str:
        note(f"{label}#{self.request.retries}")
        if self.request.retries < times:
            raise self.retry(countdown=0)
        return f"{label}({','.join(map(short, values))})"

    @task("replace", bind=True)
    def replace(self: Any, *values: Any, label: str, by: dict[str, Any]) -> Any:
        note(label)
        sig = app.signature(by)
        return self.replace(sig.clone(values) if sig.kind is None else _with_values(sig, values))

    give_up, grow, fan_out = _make_others(task, step)
    return Tasks(step, fail, flaky, replace, give_up, grow, fan_out)


def _make_others(task: Any, step: Any) -> tuple[Any, Any, Any]:
    @task("give_up")
    def give_up(how: str) -> None:
        raise Ignore if how == "ignore" else Reject("no", requeue=False)

    @task("grow", bind=True)
    def grow(self: Any) -> str:
        self.add_to_chord(step.s(label="added"))
        return "grown"

    @task("square")
    def square(n: int) -> int:
        return n**2

    @task("forward")
    def forward(n: int) -> None:
        square.delay(n)

    @task("fan_out")
    def fan_out(width: int) -> None:
        group(forward.s(n) for n in range(width)).apply_async()

    @task("give_way", bind=True)
    def give_way(self: Any, how: str) -> Any:
        given = {
            "unwritable": lambda: step.s(object(), label="-"),
            "late": lambda: step.s(label="-").set(countdown="soon"),
            "none": lambda: None,
            "text": lambda: "step",
            "json": lambda: {"task": "step", "kwargs": {"label": "given"}},
        }
        return self.replace(given[how]())

    return give_up, grow, fan_out


def _maker(app: Celeriac, *, is_async: bool) -> Callable[..., Any]:
    def task(name: str, **options: Any) -> Callable[[Any], Any]:
        def make(function: Any) -> Any:
            return app.task(name=name, **options)(_as_coroutine(function) if is_async else function)

        return make

    return task


def short(value: Any) -> str:
    return "[" + ",".join(map(short, value)) + "]" if isinstance(value, list | tuple) else str(value)


def _as_coroutine(function: Any) -> Any:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return run


def _with_values(sig: Any, values: tuple[Any, ...]) -> Any:
    """Return a chain or group with arguments for what starts it."""
    sig["args"] = tuple(values)
    return sig
