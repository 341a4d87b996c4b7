"""``python -m benchmarks.profile SCENARIO``: where one system's client and worker spend their time in a scenario.

Needs py-spy, and the right to look into other processes (as root, or with kernel.yama.ptrace_scope=0). It samples the
running processes from outside, engines included, so nothing of the system under test is changed. Threads that wait are
left out.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.run import measure
from benchmarks.scenarios import SCENARIOS
from benchmarks.stores import RabbitNode
from benchmarks.systems import SYSTEMS
from benchmarks.systems.system import ROOT

_SAMPLES_PER_SECOND = 400
_SHOWN = 25
_SMALL = 0.005
_WORK = 5
"""Times the tasks of a full run, so that starting weighs little."""


class Sampler:
    """Runs a py-spy beside each process of a site; the collapsed stacks go into `folder`."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def watch(self, part: str, pid: int) -> None:
        file = self._folder / f"{part}-{pid}.txt"
        command = [
            self._program,
            "record",
            "--pid",
            str(pid),
            "--subprocesses",
            "--format",
            "raw",
            "--output",
            str(file),
        ]
        command += ["--rate", str(_SAMPLES_PER_SECOND), "--nonblocking", "--duration", "100000"]
        self._running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)
            process.wait(30)

    def stacks(self, part: str) -> Counter[tuple[str, ...]]:
        """Return how often each stack was seen, outermost frame first."""
        found: Counter[tuple[str, ...]] = Counter()
        for file in self._folder.glob(f"{part}-*.txt"):
            for line in file.read_text().splitlines():
                stack, _, count = line.rpartition(" ")
                frames = tuple(frame for frame in stack.split(";") if _is_function(frame))
                if frames:
                    found[frames] += int(count)
        return found


def main() -> None:
    options = _parser().parse_args()
    program = shutil.which("py-spy") or shutil.which(str(Path(sys.executable).parent / "py-spy"))
    if program is None:
        raise SystemExit("py-spy is not installed: pip install py-spy")
    scenario = next(s for s in SCENARIOS if s.name == options.scenario)
    system = next(s for s in SYSTEMS if s.name == options.system).on(scenario.store)
    if system is None:
        raise SystemExit(f"{options.system} has nothing to do in {scenario.name}")
    console = Console(width=None if Console().is_terminal else 140)
    with tempfile.TemporaryDirectory() as folder, RabbitNode() as node:
        sampler = Sampler(program, Path(folder))
        count = scenario.count(system.pace, fast=False) * _WORK
        values = measure(scenario, system, node, count=count, watch=sampler.watch)
        sampler.stop()
        for part in ("client", "worker"):
            stacks = sampler.stacks(part)
            if stacks:
                console.print(_table(f"{system.title}, {scenario.name}: {part}", stacks))
    console.print(", ".join(f"{key} {value:.4g}" for key, value in values.items()))


def _table(title: str, stacks: Counter[tuple[str, ...]]) -> Table:
    """Return the functions with most time in themselves; then those of ours that cost by what they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    lines: dict[str, Counter[str]] = {}
    for stack, count in stacks.items():
        frames = [_function(frame) for frame in stack]
        own[frames[-1]] += count
        lines.setdefault(frames[-1], Counter())[_line(stack[-1])] += count
        for function in set(frames):
            whole[function] += count
    total = sum(stacks.values()) or 1
    shown = Table(title=f"{title}, {total} samples")
    for heading in ("itself", "with calls"):
        shown.add_column(heading, justify="right")
    shown.add_column("function")
    shown.add_column("hottest lines")
    ours = [function for function in whole if " celeriac/" in function and not own[function] / total > _SMALL]
    for function in [*dict(own.most_common(_SHOWN)), *sorted(ours, key=lambda name: -whole[name])[:_SHOWN]]:
        hottest = ", ".join(
            f"{line} ({hits / total:.1%})" for line, hits in lines.get(function, Counter()).most_common(3)
        )
        shown.add_row(f"{own[function] / total:.1%}", f"{whole[function] / total:.1%}", function, hottest)
    return shown


def _is_function(frame: str) -> bool:
    """Tell a function, ``name (file:line)``, from py-spy's frames for processes and threads."""
    return not frame.startswith(("process ", "thread ")) and frame.endswith(")")


def _function(frame: str) -> str:
    name, _, place = frame.partition(" (")
    file = place.rstrip(")").rpartition(":")[0].removeprefix(f"{ROOT}/")
    return f"{name} {file.rpartition('site-packages/')[2]}"


def _line(frame: str) -> str:
    return frame.rstrip(")").rpartition(":")[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    scenarios = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("scenario", choices=scenarios, metavar="SCENARIO", help=", ".join(scenarios))
    parser.add_argument("--system", choices=[system.name for system in SYSTEMS], default="celeriac")
    return parser


if __name__ == "__main__":
    main()
