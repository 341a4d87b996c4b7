"""The record of a run as tables, as JSON and as a picture."""

from __future__ import annotations

import io
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import plot
from benchmarks.figures import Verdict, verdicts
from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems.system import System

OURS, STOCK = "celeriac", "celery"
_WIDTH = 140


def table(record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System]) -> Table:
    """Return the medians, a row for each figure."""
    shown = Table(title=f"Medians of {record['rounds']} rounds, {record['date']}")
    shown.add_column("")
    for system in systems:
        shown.add_column(system.title, justify="right")
    shown.add_column("to Celery", justify="right")
    medians = record["medians"]
    for scenario in scenarios:
        if scenario.curves:
            continue
        shown.add_section()
        shown.add_row(f"[bold]{scenario.title}[/bold]")
        for figure in scenario.figures:
            values = [number(medians.get(system.name, {}).get(figure.key)) for system in systems]
            ours, celery = (medians.get(name, {}).get(figure.key) for name in (OURS, STOCK))
            ratio = f"{number(ours / celery)} x" if ours is not None and celery else ""
            shown.add_row(f"  {figure.label}", *values, ratio)
    return shown


def curves(record: dict[str, Any], scenarios: Sequence[Scenario]) -> list[Table]:
    """Return a table for each scenario that goes along something: its medians for celeriac, a column for each point."""
    tables = []
    own = record["medians"].get(OURS, {})
    for scenario in scenarios:
        if not scenario.curves:
            continue
        shown = Table(title=scenario.title)
        shown.add_column(scenario.curves[0].along)
        for place, _ in scenario.curves[0].points:
            shown.add_column(number(place), justify="right")
        for curve in scenario.curves:
            shown.add_row(f"{curve.title}, {curve.unit}", *(number(own.get(key)) for _, key in curve.points))
        tables.append(shown)
    return tables


def targets(record: dict[str, Any], scenarios: Sequence[Scenario]) -> Table:
    """Return what celeriac shall reach and what it did, a row for each target."""
    shown = Table(title="Targets")
    for heading in ("", "", "target", "reached", ""):
        shown.add_column(heading, justify="right" if heading else "left")
    for scenario in scenarios:
        for figure in scenario.figures:
            for verdict in verdicts(figure, record["medians"], OURS):
                met = "met" if verdict.is_met else "[bold]missed[/bold]"
                shown.add_row(scenario.title, figure.label, _bound(verdict), _reached(verdict), met)
    return shown


def facts(record: dict[str, Any]) -> str:
    """Return in a few lines what the figures were measured on and with."""
    box, loops = record["machine"], [sample["per_second"] for sample in record["calibration"]]
    speeds = [sample["per_cpu_second"] for sample in record["calibration"]]
    lines = [
        f"commit {record['commit']}",
        f"{box['cores']} cores, {box['cpu']}, {box['memory_gib']} GiB, {box['system']}, load at start {box['load'][0]}",
        f"calibration loop: {_range(loops)} million loops per second, {_range(speeds)} per second of CPU",
    ]
    for name, versions in record["versions"].items():
        known = versions if isinstance(versions, str) else ", ".join(f"{k} {v}" for k, v in versions.items())
        lines.append(f"{name}: {known}")
    lines += [f"failed and left out: {failure}" for failure in record.get("failures", ())]  # older ones have none
    return "\n".join(lines)


def show(record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System], console: Console) -> None:
    """Print all tables and the facts."""
    if not all(scenario.curves for scenario in scenarios):
        console.print(table(record, scenarios, systems))
    for shown in curves(record, scenarios):
        console.print(shown)
    judged = targets(record, scenarios)
    if judged.row_count:
        console.print(judged)
    console.print(facts(record))


def write(
    record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System], folder: Path, *, name: str | None
) -> list[Path]:
    """Write the record (JSON), the tables (text) and the picture (SVG) into the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = name or record["date"][:16].replace(":", "")
    text = io.StringIO()
    show(record, scenarios, systems, Console(file=text, width=_WIDTH, color_system=None))
    files = {
        ".json": json.dumps(record, indent=1) + "\n",
        ".txt": text.getvalue(),
        ".svg": plot.svg(record, scenarios, systems),
    }
    paths = []
    for suffix, content in files.items():
        path = folder / (stem + suffix)
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths


def number(value: float | None) -> str:
    """Return a number with three digits that count; a dash for none."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _bound(verdict: Verdict) -> str:
    sign = "≥" if verdict.figure.more else "≤"
    if verdict.beside is None:
        return f"{sign} {number(verdict.bound)} {verdict.figure.unit}".rstrip()
    return f"{sign} {_times(verdict.bound)} {verdict.beside}"


def _reached(verdict: Verdict) -> str:
    return number(verdict.reached) if verdict.beside is None else _times(verdict.reached)


def _times(ratio: float) -> str:
    """Return a ratio as a reader says it: 25 x, or 1/40 of."""
    return f"1/{number(1 / ratio)} of" if 0 < ratio < 0.2001 else f"{number(ratio)} x"


def _range(values: Sequence[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle / 1e6:.1f} ({low / 1e6:.1f} to {high / 1e6:.1f})"
