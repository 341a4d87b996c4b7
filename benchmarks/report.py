"""The record of a run as a table, as JSON and as a picture."""

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
from benchmarks.figures import Figure
from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems.system import System

OURS, STOCK = "celeriac", "celery"


def table(record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System]) -> Table:
    """Return the medians, a row for each figure."""
    shown = Table(title=f"Medians of {record['rounds']} rounds, {record['date']}")
    shown.add_column("")
    for system in systems:
        shown.add_column(system.title, justify="right")
    for heading in ("to Celery", "target", ""):
        shown.add_column(heading, justify="right")
    medians = record["medians"]
    for scenario in scenarios:
        shown.add_section()
        shown.add_row(f"[bold]{scenario.title}[/bold]")
        for figure in scenario.figures:
            values = [number(medians[system.name].get(figure.key)) for system in systems]
            ours, celery = (medians.get(name, {}).get(figure.key) for name in (OURS, STOCK))
            unit = f", {figure.unit}" if figure.unit else ""
            shown.add_row(f"  {figure.title}{unit}", *values, *_judged(figure, ours, celery))
    return shown


def facts(record: dict[str, Any]) -> str:
    """Return in a few lines what the figures were measured on and with."""
    box, loops = record["machine"], [sample["per_second"] for sample in record["calibration"]]
    speeds = [sample["per_cpu_second"] for sample in record["calibration"]]
    lines = [
        f"{box['cores']} cores, {box['cpu']}, {box['memory_gib']} GiB, {box['system']}, load at start {box['load'][0]}",
        f"calibration loop: {_range(loops)} million loops per second, {_range(speeds)} per second of CPU",
    ]
    for name, versions in record["versions"].items():
        known = versions if isinstance(versions, str) else ", ".join(f"{k} {v}" for k, v in versions.items())
        lines.append(f"{name}: {known}")
    return "\n".join(lines)


def write(
    record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System], folder: Path, *, name: str | None
) -> list[Path]:
    """Write the record (JSON), the table (text) and the picture (SVG) into the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = name or record["date"][:16].replace(":", "")
    text = io.StringIO()
    plain = Console(file=text, width=130, color_system=None)
    plain.print(table(record, scenarios, systems))
    plain.print(facts(record))
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
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _judged(figure: Figure, ours: float | None, celery: float | None) -> tuple[str, str, str]:
    """Return how we stand to Celery, the target, and whether it is met."""
    if ours is None:
        return "", "", ""
    ratio = f"{number(ours / celery)} x" if celery else ""
    bound = figure.bound(celery)
    if bound is None:
        return ratio, "", ""
    sign = "≥" if figure.more else "≤"
    return ratio, f"{sign} {number(bound)}", "met" if figure.is_met(ours, celery) else "[bold]missed[/bold]"


def _range(values: Sequence[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle / 1e6:.1f} ({low / 1e6:.1f} to {high / 1e6:.1f})"
