"""How celeriac goes from few queued tasks to many, from one engine to eight, and from small arguments to large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.figures import Curve, Figure
from benchmarks.scenarios.draining import Drain, drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.stores import RedisStore
from benchmarks.systems.system import TWO_ENGINES, Shape

_DEPTHS = (1, 10, 100, 1000, 10_000, 100_000)
_ENGINES = (1, 2, 4, 8)
_ENGINES_SHARE = 2
"""Each number of engines gets this part of the most tasks."""

_SIZES = (100, 1000, 10_000, 100_000)
_SIZES_BYTES = 1000
"""Bytes of arguments in all, at most, for each of the most tasks: 100 MB in a full run."""

_WARM_UP = 1000

_MEASURES = (
    ("rate", "rate", "/s"),
    ("cpu", "CPU per task, worker and broker", "µs"),
    ("memory", "node's memory (PSS) after it", "MiB"),
)


def _depth(site: Site, most: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for depth in _DEPTHS:
        if depth <= most:
            values |= _named(f"depth_{depth}", _anew(site, depth))
    return values


def _engines(site: Site, most: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for engines in _ENGINES:
        shape = Shape("engines", engines)
        values |= _named(f"engines_{engines}", _anew(site, most // _ENGINES_SHARE, shape=shape))
    return values


def _sizes(site: Site, most: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for size in _SIZES:
        tasks = min(most // 5, most * _SIZES_BYTES // size)
        with site.client() as client:
            client.do("send_many", count=_WARM_UP, value="x")
            sent = client.do("send_many", count=tasks, value="x" * size)
        values[f"sizes_{size}_send"] = sent["cpu"] / tasks * 1e6
        values |= _named(f"sizes_{size}", _anew(site, tasks, value="x" * size))
    return values


def _anew(site: Site, tasks: int, *, value: Any = None, shape: Shape = TWO_ENGINES) -> Drain:
    assert isinstance(site.store, RedisStore)
    site.store.empty()
    return drain(site, tasks, value=value, shape=shape)


def _named(prefix: str, done: Drain) -> dict[str, float]:
    return {
        f"{prefix}_rate": done.rate,
        f"{prefix}_cpu": done.cpu,
        f"{prefix}_memory": done.memory_after / 2**20,
    }


def _scenario(
    name: str,
    title: str,
    measure: Callable[[Site, int], dict[str, float]],
    over: tuple[tuple[int, ...], str],
    more: tuple[tuple[str, str, str], ...] = (),
) -> Scenario:
    points, along = over
    figures, lines = [], []
    for key, what, unit in (*more, *_MEASURES):
        keys = {point: f"{name}_{point}_{key}" for point in points}
        figures += [Figure(keys[p], f"{what}, {p:,} {along}", unit, more=key == "rate") for p in points]
        lines.append(Curve(what, unit, along, tuple((float(p), keys[p]) for p in points)))
    return Scenario(
        name=name,
        title=title,
        figures=tuple(figures),
        curves=tuple(lines),
        measure=measure,
        tasks=_DEPTHS[-1],
        fast=_DEPTHS[-1] // 20,
        even=True,
        only=("celeriac",),
    )


SCENARIOS = (
    _scenario("depth", "From 1 to 100,000 queued tasks, 2 engines", _depth, (_DEPTHS, "queued")),
    _scenario("engines", "From 1 to 8 engines", _engines, (_ENGINES, "engines")),
    _scenario(
        "sizes",
        "From 100 B to 100 KB of arguments, 2 engines",
        _sizes,
        (_SIZES, "B"),
        (("send", "client CPU per message in bulk", "µs"),),
    ),
)
