"""``celeriac demo`` on this machine, with the embedded store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(60)
def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celeriac", "demo"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "44 of 44 as expected" in done.stdout
    assert "The worker stopped warmly." in done.stdout
    for kind in ("quick", "failing", "retrying", "async", "slow", "delayed"):
        assert kind in done.stdout
    assert "\x1b[" not in done.stdout
    assert list(tmp_path.iterdir()) == []
