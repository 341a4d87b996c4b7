"""A run: every scenario on every system, round after round, so that all meet the same weather."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import machine, stores
from benchmarks.figures import medians
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.systems.system import ROOT, System
from tests.servers.redis import RedisServer

Say = Callable[[str], None]


def run(
    systems: Sequence[System], scenarios: Sequence[Scenario], *, rounds: int, fast: bool, say: Say
) -> dict[str, Any]:
    """Return the record of the run: facts, all samples, and their medians."""
    samples: dict[str, dict[str, list[float]]] = {system.name: {} for system in systems}
    calibration: list[dict[str, float]] = []
    record: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
        "commit": _commit(),
        "machine": machine.facts(),
        "versions": _versions(systems),
        "rounds": rounds,
        "fast": fast,
    }
    for number in range(rounds):
        for scenario in scenarios:
            able = [system for system in _rotated(systems, number) if _concerns(scenario, system)]
            for group in [able] if scenario.together else [[system] for system in able]:
                calibration.append(machine.calibrate())
                titles = ", ".join(system.title for system in group)
                say(f"round {number + 1} of {rounds}: {scenario.name}, {titles}")
                for system, values in zip(group, _measured(scenario, group, fast=fast), strict=True):
                    for key, value in values.items():
                        samples[system.name].setdefault(key, []).append(value)
    record["tasks"] = {
        scenario.name: {s.name: scenario.count(s.pace, fast=fast) for s in systems if _concerns(scenario, s)}
        for scenario in scenarios
    }
    record["calibration"] = calibration
    record["samples"] = samples
    record["medians"] = {name: medians(own) for name, own in samples.items()}
    return record


def measure(scenario: Scenario, system: System, *, count: int, watch: Callable[[str, int], None] | None = None) -> Any:
    """Measure one scenario on one system, with a server of its own."""
    on = system if scenario.store == "redis" else system.on_sqlite
    assert on is not None
    weather = machine.awake() if scenario.awake else contextlib.nullcontext()
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as server,
        stores.opened(on.tasks_in, server) as store,
        weather,
    ):
        ledger = str(Path(folder, "ledger"))
        return scenario.measure(Site(on, store, work=scenario.work, ledger=ledger, watch=watch), count)


def _measured(scenario: Scenario, systems: Sequence[System], *, fast: bool) -> list[dict[str, float]]:
    def one(system: System) -> dict[str, float]:
        values: dict[str, float] = measure(scenario, system, count=scenario.count(system.pace, fast=fast))
        return values

    with ThreadPoolExecutor(len(systems) or 1) as pool:
        return list(pool.map(one, systems))


def _concerns(scenario: Scenario, system: System) -> bool:
    if scenario.only is not None and system.name not in scenario.only:
        return False
    return scenario.store == "redis" or system.on_sqlite is not None


def _versions(systems: Sequence[System]) -> dict[str, Any]:
    with RedisServer() as server:
        versions: dict[str, Any] = {"redis-server": server.client().info("server")["redis_version"]}
        for system in systems:
            with stores.opened(system.tasks_in, server) as store, Site(system, store).client() as client:
                versions[system.name] = client.do("versions")
    return versions


def _commit() -> str:
    """Return the commit that is measured, and whether what runs differs from it."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "src", "benchmarks", ":!benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes that are not committed" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def _rotated(systems: Sequence[System], by: int) -> Sequence[System]:
    """Let another system go first in each round."""
    by %= len(systems)
    return [*systems[by:], *systems[:by]]
