"""A run: every scenario on every system, round after round, so that all meet the same weather."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.figures import medians
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.systems.system import System
from tests.servers.redis import RedisServer

Say = Callable[[str], None]


def run(
    systems: Sequence[System], scenarios: Sequence[Scenario], *, rounds: int, fast: bool, say: Say
) -> dict[str, Any]:
    """Return the record of the run: facts, all samples, and their medians."""
    samples: dict[str, dict[str, list[float]]] = {system.name: {} for system in systems}
    calibration: list[dict[str, float]] = []
    with RedisServer() as server:
        versions = {"redis-server": server.client().info("server")["redis_version"]}
        record: dict[str, Any] = {
            "date": dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
            "machine": machine.facts(),
            "versions": {**versions, **{system.name: _versions(system, server.url) for system in systems}},
            "rounds": rounds,
            "fast": fast,
        }
        for number in range(rounds):
            for scenario in scenarios:
                for system in _rotated(systems, number):
                    calibration.append(machine.calibrate())
                    count = scenario.count(system.pace, fast=fast)
                    say(f"round {number + 1} of {rounds}: {scenario.name}, {system.title}, {count} tasks")
                    for key, value in scenario.measure(Site(system, server.url), count).items():
                        samples[system.name].setdefault(key, []).append(value)
    record["tasks"] = {
        scenario.name: {system.name: scenario.count(system.pace, fast=fast) for system in systems}
        for scenario in scenarios
    }
    record["calibration"] = calibration
    record["samples"] = samples
    record["medians"] = {name: medians(own) for name, own in samples.items()}
    return record


def _versions(system: System, url: str) -> dict[str, str]:
    with Site(system, url).client() as client:
        return client.do("versions")


def _rotated(systems: Sequence[System], by: int) -> Sequence[System]:
    """Let another system go first in each round."""
    by %= len(systems)
    return [*systems[by:], *systems[:by]]
