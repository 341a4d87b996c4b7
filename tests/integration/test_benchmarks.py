import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scenarios import SCENARIOS

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
