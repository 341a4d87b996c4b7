"""The medians as bars and lines in an SVG, written by hand: a plot needs no library here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.figures import Curve
from benchmarks.scenarios.scenario import Scenario
from benchmarks.systems.system import System

_COLOURS = ("#9aa5b1", "#2f855a", "#c05621", "#2b6cb0", "#6b46c1", "#b7791f")
_LINE = "#2f855a"
_WIDTH, _LABELS, _NUMBERS = 860, 330, 90
_BAR, _GAP, _HEAD = 13, 12, 26
_CHART, _CHART_WIDTH = 130, 190

Medians = Mapping[str, Mapping[str, float]]


def svg(record: dict[str, Any], scenarios: Sequence[Scenario], systems: Sequence[System]) -> str:
    """Return a document: bars for each figure, the longest of each group of full length; a chart for each curve."""
    parts: list[str] = []
    top = 46.0
    for scenario in scenarios:
        parts.append(_text(12, top + 14, scenario.title, weight="bold"))
        top += _HEAD
        if scenario.curves:
            own = record["medians"].get("celeriac", {})
            for place, curve in enumerate(scenario.curves):
                parts.append(_chart(12 + place * (_CHART_WIDTH + 20), top, curve, own))
            top += _CHART + 40
        else:
            top = _bars(parts, top, scenario, record["medians"], systems)
    legend = "".join(
        f'<rect x="{12 + 110 * place}" y="12" width="12" height="12" fill="{_COLOURS[place % len(_COLOURS)]}"/>'
        + _text(30 + 110 * place, 22, system.title)
        for place, system in enumerate(systems)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top:.0f}" font-family="sans-serif"'
        f' font-size="11"><rect width="100%" height="100%" fill="white"/>{legend}{"".join(parts)}</svg>\n'
    )


def _bars(parts: list[str], top: float, scenario: Scenario, medians: Medians, systems: Sequence[System]) -> float:
    """Add a group of bars for each figure; return where the next thing goes."""
    for figure in scenario.figures:
        own = [(place, medians.get(system.name, {}).get(figure.key)) for place, system in enumerate(systems)]
        values = [(place, max(0.0, value)) for place, value in own if value is not None]
        better = "more is better" if figure.more else "less is better"
        parts.append(_text(24, top + len(values) * _BAR / 2 + 4, f"{figure.label} ({better})"))
        longest = max((value for _, value in values), default=0.0) or 1.0
        for place, value in values:
            parts.append(_bar(top, value / longest, value, _COLOURS[place % len(_COLOURS)]))
            top += _BAR
        top += _GAP
    return top


def _bar(top: float, share: float, value: float, colour: str) -> str:
    length = max(1.0, share * (_WIDTH - _LABELS - _NUMBERS))
    rect = f'<rect x="{_LABELS}" y="{top:.1f}" width="{length:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
    return rect + _text(_LABELS + length + 5, top + 9, _number(value))


def _chart(left: float, top: float, curve: Curve, medians: Mapping[str, float]) -> str:
    """Return a line through the curve's points; the horizontal scale is logarithmic, the vertical one begins at 0."""
    points = [(place, medians[key]) for place, key in curve.points if key in medians]
    parts = [_text(left, top + 8, f"{curve.title}, {curve.unit}")]
    if points:
        most = max(value for _, value in points) or 1.0
        ends = [math.log(place) for place in (curve.points[0][0], curve.points[-1][0])]
        span = ends[1] - ends[0] or 1.0
        spots = [
            (
                left + (math.log(place) - ends[0]) / span * (_CHART_WIDTH - 30),
                top + 24 + (1 - value / most) * _CHART * 0.8,
            )
            for place, value in points
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{_LINE}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(spots, points, strict=True):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{_LINE}"/>' + _text(x, y - 5, _number(value))
            )
        floor = top + 24 + _CHART * 0.8
        parts.append(f'<path d="M{left:.0f} {floor:.0f}h{_CHART_WIDTH - 30}" stroke="#9aa5b1"/>')
        low, high = _number(curve.points[0][0]), _number(curve.points[-1][0])
        parts.append(_text(left, floor + 14, f"{low} to {high} {curve.along}"))
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _text(x: float, y: float, text: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{escape(text)}</text>'
