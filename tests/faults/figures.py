"""The figures of a full run, as JSON and as a table."""

from __future__ import annotations

import datetime as dt
import json
import platform
from collections.abc import Sequence
from pathlib import Path

import pytest

COLUMNS = ("tasks", "kills", "lost", "duplicated", "resumed_after_s")
"""What most tests count; the rest goes into the last column."""


def write_figures(folder: Path, reports: Sequence[pytest.TestReport]) -> list[Path]:
    """Write ``faults-DATE.json`` and ``.md``; return their paths."""
    rows = [
        {"test": report.nodeid.rpartition("/")[2], "outcome": report.outcome, "seconds": round(report.duration, 1)}
        | dict(report.user_properties)
        for report in reports
    ]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    machine = {"python": platform.python_version(), "system": platform.platform()}
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"faults-{today}.json", folder / f"faults-{today}.md"]
    files[0].write_text(json.dumps({"date": today, **machine, "tests": rows}, indent=1) + "\n", encoding="utf-8")
    files[1].write_text(_table(today, machine, rows), encoding="utf-8")
    return files


def _table(today: str, machine: dict[str, str], rows: list[dict[str, object]]) -> str:
    lines = [
        f"# Faults, {today}",
        "",
        f"`make test-faults`, Python {machine['python']}, {machine['system']}. Counted by a ledger outside the system.",
        "",
        "| test | outcome | seconds | " + " | ".join(COLUMNS) + " | more |",
        "|" + "---|" * (len(COLUMNS) + 4),
    ]
    for row in sorted(rows, key=lambda each: str(each["test"])):
        more = {k: v for k, v in row.items() if k not in (*COLUMNS, "test", "outcome", "seconds")}
        counts = " | ".join(str(row.get(column, "")) for column in COLUMNS)
        told = ", ".join(f"{name} {value}" for name, value in more.items())
        lines.append(f"| {row['test']} | {row['outcome']} | {row['seconds']} | {counts} | {told} |")
    return "\n".join(lines) + "\n"
