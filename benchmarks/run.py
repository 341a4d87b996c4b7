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
from benchmarks.stores import RabbitNode
from benchmarks.systems.system import ROOT, System
from tests.servers.redis import RedisServer

Say = Callable[[str], None]

OURS = ("celeriac", "floor")
"""Systems whose failure ends the run."""


def run(
    systems: Sequence[System], scenarios: Sequence[Scenario], *, rounds: int, fast: bool, say: Say
) -> dict[str, Any]:
    """Return the record of the run: facts, all samples, and their medians."""
    samples: dict[str, dict[str, list[float]]] = {system.name: {} for system in systems}
    failures: list[str] = []
    calibration: list[dict[str, float]] = []
    record: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
        "commit": _commit(),
        "machine": machine.facts(),
        "versions": {},  # known at the end: a server that is not needed yet would take cores from others
        "rounds": rounds,
        "fast": fast,
    }
    with RabbitNode() as node:
        for number in range(rounds):
            for scenario in scenarios:
                able = _able(scenario, _rotated(systems, number))
                for group in [able] if scenario.together else [[system] for system in able]:
                    calibration.append(machine.calibrate())
                    titles = ", ".join(system.title for system in group)
                    turn = f"round {number + 1} of {rounds}: {scenario.name}"
                    say(f"{turn}, {titles}")
                    for system, values in zip(group, _measured(scenario, group, node, fast=fast), strict=True):
                        if isinstance(values, Exception):
                            failures.append(f"{turn}, {system.title}: {values}")
                            say(f"failed, and goes on without: {failures[-1]}")
                            continue
                        for key, value in values.items():
                            samples[system.name].setdefault(key, []).append(value)
        record["versions"] = _versions(systems, scenarios, node)
    record["tasks"] = {
        scenario.name: {s.name: scenario.count(s.pace, fast=fast) for s in _able(scenario, systems)}
        for scenario in scenarios
    }
    record["calibration"] = calibration
    record["failures"] = failures
    record["samples"] = samples
    record["medians"] = {name: medians(own) for name, own in samples.items()}
    return record


def measure(
    scenario: Scenario,
    system: System,
    node: RabbitNode,
    *,
    count: int,
    watch: Callable[[str, int], None] | None = None,
) -> Any:
    """Measure a scenario on one system as it is on the scenario's store: a server, or a part of `node`, of its own."""
    weather = machine.awake() if scenario.awake else contextlib.nullcontext()
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer() as server,
        stores.opened(system.tasks_in, server, node) as store,
        weather,
    ):
        ledger = str(Path(folder, "ledger"))
        site = Site(system, store, work=scenario.work, ledger=ledger, redis_url=server.url, watch=watch)
        return scenario.measure(site, count)


def _measured(
    scenario: Scenario, systems: Sequence[System], node: RabbitNode, *, fast: bool
) -> list[dict[str, float] | Exception]:
    """Return what was measured of each; of a peer that failed (lost a task, say) why, since others went well."""

    def one(system: System) -> dict[str, float] | Exception:
        try:
            values: dict[str, float] = measure(scenario, system, node, count=scenario.count(system.pace, fast=fast))
        except Exception as error:
            if system.name in OURS:
                raise
            return error
        return values

    with ThreadPoolExecutor(len(systems) or 1) as pool:
        return list(pool.map(one, systems))


def _able(scenario: Scenario, systems: Sequence[System]) -> list[System]:
    """Return the systems that the scenario concerns, as they are on its store."""
    wanted = (system for system in systems if scenario.only is None or system.name in scenario.only)
    return [found for system in wanted if (found := system.on(scenario.store)) is not None]


def _versions(systems: Sequence[System], scenarios: Sequence[Scenario], node: RabbitNode) -> dict[str, Any]:
    versions: dict[str, Any] = {}
    with RedisServer() as server:
        versions["redis-server"] = server.client().info("server")["redis_version"]
        if any(scenario.store == "rabbitmq" for scenario in scenarios):
            versions["rabbitmq-server"] = node.server.call("rabbit_misc", "version").strip('"')
        for system in systems:
            concerned = [found for scenario in scenarios for found in _able(scenario, [system])]
            for found in concerned[:1]:
                with (
                    stores.opened(found.tasks_in, server, node) as store,
                    Site(found, store, redis_url=server.url).client() as client,
                ):
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
