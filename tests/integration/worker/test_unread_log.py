"""A worker whose log goes into a pipe that nobody reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.worker.node import until

NOISY = """
import logging
from celeriac import Celeriac

app = Celeriac("noisy", broker="sqlite:///noisy.db", worker_shutdown_grace=1)


@app.task(ignore_result=True)
def talk(number):
    open(f"began-{number}", "w").close()
    for line in range(1000):
        logging.getLogger("talk").warning("%s", "x" * 1000)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_it_ends_when_it_is_told_to(tmp_path: Path, pool: str) -> None:
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    send = "from noisy import talk; talk.delay_many((n,) for n in range(4))"
    subprocess.run([sys.executable, "-c", send], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "celeriac", "-A", "noisy", "worker", "-c", "1", "-P", pool, "-l", "info"]
    reader, writer = os.pipe()
    process = subprocess.Popen(command, cwd=tmp_path, stdout=writer, stderr=writer, start_new_session=True)
    os.close(writer)
    try:
        until((tmp_path / "began-0").exists, "the first task")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(reader)
