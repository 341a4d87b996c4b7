"""`import celeriac` is quick because of what it leaves alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "asyncio", "click", "concurrent.futures.process", "concurrent.futures.thread", "dataclasses", "difflib", "email",
    "hashlib", "hiredis", "hmac", "http", "json", "msgpack", "multiprocessing", "pickle", "random", "redis", "rich",
    "secrets", "socket", "sqlite3", "ssl", "subprocess", "tomllib", "yaml", "zoneinfo",
}  # fmt: skip
"""Modules of the standard library and of others that cost milliseconds, and that a caller needs later or never."""


def loaded(program: str) -> set[str]:
    """Run a program in a clean interpreter; return the modules that it has loaded."""
    code = f"{program}\nimport sys; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=15)
    return set(told.stdout.split())


def test_importing_celeriac_loads_nothing_heavy():
    assert loaded("import celeriac") & HEAVY == set()


def test_importing_celeriac_loads_no_worker_no_command_and_no_driver():
    own = {name for name in loaded("import celeriac") if name.startswith("celeriac.")}
    assert {name for name in own if name.startswith(("celeriac.worker", "celeriac.cli", "celeriac.testing"))} == set()
    assert {name for name in own if name.startswith("celeriac.drivers.")} == set()


def test_a_worker_has_no_event_loop_before_it_needs_one():
    assert loaded("import celeriac.worker.worker") & {"asyncio", "ssl", "encodings.idna"} == set()


@pytest.mark.parametrize(
    "module", ["celeriac.app", "celeriac.exceptions", "celeriac.result", "celeriac.signals", "celeriac.states"]
)
def test_what_callers_import_loads_no_more(module):
    assert loaded(f"import {module}") & HEAVY == set()


def test_defining_tasks_loads_no_more():
    program = "from celeriac import Celeriac\napp = Celeriac('x', broker='redis://h/0')\n@app.task\ndef f(): ..."
    assert loaded(program) & HEAVY == set()


def test_sending_on_a_store_loads_that_store_s_driver_alone():
    program = "from celeriac import Celeriac\nCeleriac('x', broker='memory://').send_task('t')"
    modules = loaded(program)
    drivers = {name.split(".")[2] for name in modules if name.startswith("celeriac.drivers.") and name.count(".") > 2}
    assert drivers == {"memory"}
