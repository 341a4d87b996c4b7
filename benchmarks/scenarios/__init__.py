"""The scenarios: one module each, which holds its `SCENARIO`. The order is that of the table."""

from __future__ import annotations

from benchmarks.scenarios import bulk, drain, enqueue, latency, results, start
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    enqueue.SCENARIO,
    bulk.SCENARIO,
    drain.SCENARIO,
    results.SCENARIO,
    latency.SCENARIO,
    start.SCENARIO,
)
