"""Forking engines from a copy of the node, with real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from celeriac.testing.conformance.samples import eventually
from tests.unit.forks import can_fork

pytestmark = can_fork

START = """
import os, signal, select, sys, time
from multiprocessing import Pipe
from celeriac.worker.launch import ForkLauncher

def engine(index, pipe):
    {engine}

launcher = ForkLauncher(engine)

def exits(count):
    ended = []
    while len(ended) < count:
        readable, _, _ = select.select(launcher.waitables(), [], [], 10)
        assert readable, "no report within 10 s"
        ended += launcher.exits()
    return sorted(ended)
"""


def run(engine: str, program: str) -> str:
    """Run a node's program in a process of its own; return what it printed."""
    code = START.format(engine=engine.replace("\n", "\n    ")) + program
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_engines_are_forked_with_a_pipe_each_and_their_ends_are_reported():
    told = run(
        "pipe.send((index, os.getpid())); return index + 10",
        """
pipes = {index: launcher.launch(index) for index in (1, 2, 3)}
pids = {}
for index, pipe in pipes.items():
    assert pipe.poll(10)
    told, pids[index] = pipe.recv()
    assert told == index
assert len({os.getpid(), *pids.values()}) == 4
print(exits(3))
launcher.close()
""",
    )
    assert told == "[(1, 11), (2, 12), (3, 13)]\n"


def test_an_engine_that_is_killed_is_reported_with_its_signal():
    told = run(
        "pipe.send(1); pipe.recv()",
        """
pipe = launcher.launch(1)
assert pipe.recv() == 1
select.select(launcher.waitables(), [], [], 10)
assert launcher.exits() == []
os.kill(launcher.pid(1), signal.SIGKILL)
print(exits(1), launcher.pid(1))
launcher.close()
""",
    )
    assert told == "[(1, -9)] None\n"


def test_an_engine_that_raises_is_reported_as_failed():
    assert run("raise ValueError(index)", "launcher.launch(1)\nprint(exits(1))\nlauncher.close()\n") == "[(1, 1)]\n"


def test_engines_live_through_the_signals_that_stop_a_node():
    told = run(
        "pipe.send(1); return pipe.recv()",
        """
pipe = launcher.launch(1)
assert pipe.recv() == 1
select.select(launcher.waitables(), [], [], 10)
launcher.exits()
for number in (signal.SIGTERM, signal.SIGINT):
    os.kill(launcher.pid(1), number)
    os.kill(launcher._zygote.pid, number)
pipe.send(5)
print(exits(1))
launcher.close()
""",
    )
    assert told == "[(1, 5)]\n"


def test_without_its_zygote_a_launcher_says_so():
    told = run(
        "return 0",
        """
os.kill(launcher._zygote.pid, signal.SIGKILL)
select.select(launcher.waitables(), [], [], 10)
try:
    launcher.exits()
except OSError as error:
    print(error)
launcher.close()
""",
    )
    assert told == "the process that forks engines is gone\n"


@pytest.mark.parametrize("dies", [True, False])
def test_a_zygote_ends_with_its_node_and_engines_hear_of_it(tmp_path, dies):
    """Whether the node closes it or is gone without a word."""
    noted = tmp_path / "noted"
    run(
        f"""
pipe.send(1)
try:
    pipe.recv()
except EOFError:
    open({str(noted)!r}, "w").write(str(os.getppid()))
return 0
""",
        f"""
pipe = launcher.launch(1)
assert pipe.recv() == 1
zygote = launcher._zygote.pid
if {dies}:
    os._exit(0)
launcher.close()
try:
    os.kill(zygote, 0)
except ProcessLookupError:
    sys.exit(0)
sys.exit("the zygote is still there")
""",
    )
    assert eventually(lambda: noted.exists() and noted.read_text())
