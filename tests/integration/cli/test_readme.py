"""The first steps of the README, typed in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.conftest import DEADLINE, Shop

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def block_with(words: str) -> str:
    """Return the block of code of the README that holds the words."""
    (found,) = [block for block in re.findall(r"```\w+\n(.*?)```", README, re.DOTALL) if words in block]
    return found


def test_the_first_example_gives_the_value_that_the_readme_shows(shop: Shop) -> None:
    (shop.directory / "tasks.py").write_text(block_with('Celery("tasks")'), encoding="utf-8")
    session = block_with(">>> from tasks import add")
    typed = "".join(line[4:] + "\n" for line in session.splitlines() if line.startswith(">>> "))
    shown = [line for line in session.splitlines() if not line.startswith(">>> ")]

    assert "celeriac -A tasks worker --loglevel info" in block_with("--loglevel info")
    shop.start_worker()
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=typed,
        cwd=shop.directory,
        env=shop.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout.splitlines() == shown, done.stderr + shop.log()

    call = shlex.split(block_with("--wait"))
    assert call[0] == "celeriac"
    called = subprocess.run(
        [sys.executable, "-m", *call],
        cwd=shop.directory,
        env=shop.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert called.stdout.splitlines()[-1] == "9", called.stderr


def test_a_second_worker_by_another_name_shares_the_queue(shop: Shop) -> None:
    shop.start_worker("-P", "solo")
    shop.start_worker("-P", "solo", "-n", "second@%h")
    shop.until(lambda: shop.log().count(" ready.") == 2)
    assert "second@" in shop.log()
