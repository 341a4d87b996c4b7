import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.run import run
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems import floor

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
def test_a_fast_run_measures_every_scenario_and_writes_nothing():
    results = ROOT / "benchmarks" / "results"
    before = sorted(results.iterdir())
    command = [sys.executable, "-m", "benchmarks", "--fast", "--systems", "floor", "celeriac"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    for scenario in SCENARIOS:
        assert scenario.title in ended.stdout
    assert sorted(results.iterdir()) == before


@pytest.mark.redis
@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
def test_a_peer_that_fails_is_told_of_and_left_out():
    peer = dataclasses.replace(floor.SYSTEM, name="peer", title="Peer")
    turns = iter([RuntimeError("it lost a task"), 7.0])

    def measure(site, tasks):
        value = next(turns) if site.system.name == "peer" else 5.0
        if isinstance(value, Exception):
            raise value
        return {"cost": value}

    scenario = Scenario(
        name="one", title="One", figures=(Figure("cost", "cost", "µs"),), measure=measure, tasks=1, fast=1
    )
    said: list[str] = []
    record = run([floor.SYSTEM, peer], [scenario], rounds=2, fast=True, say=said.append)
    assert record["samples"] == {"floor": {"cost": [5.0, 5.0]}, "peer": {"cost": [7.0]}}
    assert record["failures"] == ["round 1 of 2: one, Peer: it lost a task"]
    assert "failed and left out: round 1 of 2: one, Peer: it lost a task" in report.facts(record)
    assert any("it lost a task" in each for each in said)
