"""The medians as bars in an SVG, written by hand: a plot needs no library here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems.system import System

_COLOURS = ("#9aa5b1", "#2f855a", "#c05621", "#2b6cb0", "#6b46c1", "#b7791f")
_WIDTH, _LABELS, _NUMBERS = 860, 330, 90
_BAR, _GAP, _HEAD = 13, 12, 26


def svg(record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System]) -> str:
    """Return a document with a group of bars for each figure; the longest bar of each group has the full length."""
    parts: list[str] = []
    top = 46
    for scenario in scenarios:
        parts.append(_text(12, top + 14, scenario.title, weight="bold"))
        top += _HEAD
        for figure in scenario.figures:
            own = [(place, record["medians"][s.name].get(figure.key)) for place, s in enumerate(systems)]
            values = [(place, value) for place, value in own if value is not None]
            better = "more is better" if figure.more else "less is better"
            label = f"{figure.title}{f', {figure.unit}' if figure.unit else ''} ({better})"
            parts.append(_text(24, top + len(values) * _BAR / 2 + 4, label))
            longest = max((value for _, value in values), default=0.0) or 1.0
            for place, value in values:
                parts.append(_bar(top, value / longest, value, _COLOURS[place % len(_COLOURS)]))
                top += _BAR
            top += _GAP
    legend = "".join(
        f'<rect x="{12 + 110 * place}" y="12" width="12" height="12" fill="{_COLOURS[place % len(_COLOURS)]}"/>'
        + _text(30 + 110 * place, 22, system.title)
        for place, system in enumerate(systems)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top:.0f}" font-family="sans-serif"'
        f' font-size="11"><rect width="100%" height="100%" fill="white"/>{legend}{"".join(parts)}</svg>\n'
    )


def _bar(top: float, share: float, value: float, colour: str) -> str:
    length = max(1.0, share * (_WIDTH - _LABELS - _NUMBERS))
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    rect = f'<rect x="{_LABELS}" y="{top:.1f}" width="{length:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
    return rect + _text(_LABELS + length + 5, top + 9, shown)


def _text(x: float, y: float, text: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{escape(text)}</text>'
