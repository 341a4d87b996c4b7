"""``python -m benchmarks``: measure, show a table, and write the results; see README.md in this folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.run import run
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems import SYSTEMS
from benchmarks.systems.system import Missing, System
from tests.servers import rabbitmq
from tests.servers.certificates import ServerMissing

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = _parser().parse_args()
    console = Console(width=None if Console().is_terminal else 150)
    systems = _present([s for s in SYSTEMS if s.name in options.systems], console)
    scenarios = _possible([scenario for scenario in SCENARIOS if scenario.name in options.only], console)
    rounds = options.rounds or (1 if options.fast else 3)
    progress = Console(stderr=True)
    with progress.status("") as status:
        say = status.update if progress.is_terminal else progress.print
        record = run(systems, scenarios, rounds=rounds, fast=options.fast, say=say)
    report.show(record, scenarios, systems, console)
    if not options.fast:
        for path in report.write(record, scenarios, systems, RESULTS, name=options.name):
            console.print(f"written: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _present(systems: Sequence[System], console: Console) -> list[System]:
    present = []
    for system in systems:
        try:
            system.python()
        except Missing as missing:
            console.print(f"left out: {missing}")
        else:
            present.append(system)
    return present


def _possible(scenarios: Sequence[Scenario], console: Console) -> list[Scenario]:
    try:
        rabbitmq.home()
    except ServerMissing as missing:
        console.print(f"left out: all on RabbitMQ, since {missing}")
        return [scenario for scenario in scenarios if scenario.store != "rabbitmq"]
    return list(scenarios)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    scenarios, systems = [s.name for s in SCENARIOS], [s.name for s in SYSTEMS]
    parser.add_argument("--fast", action="store_true", help="a short look: one round, few tasks, nothing written")
    parser.add_argument("--rounds", type=int, help="how often all is measured; 3, with --fast 1")
    names = ", ".join(scenarios)
    parser.add_argument("--only", nargs="+", choices=scenarios, default=scenarios, metavar="SCENARIO", help=names)
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems, help="these systems")
    parser.add_argument("--name", help="name of the files in benchmarks/results/; the date and time unless given")
    return parser


if __name__ == "__main__":
    main()
