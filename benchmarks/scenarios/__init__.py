"""The scenarios: one module each, which holds its scenario or several of a kind. The order is that of the table."""

from __future__ import annotations

from benchmarks.scenarios import (
    bulk,
    burn,
    curves,
    drain,
    enqueue,
    guarantees,
    idle,
    imports,
    latency,
    makespan,
    rabbitmq,
    results,
    sleeps,
    sqlite,
    start,
    workflows,
)
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    enqueue.SCENARIO,
    enqueue.AWAKE,
    bulk.SCENARIO,
    drain.SCENARIO,
    results.SCENARIO,
    latency.SCENARIO,
    latency.AWAKE,
    workflows.SCENARIO,
    workflows.MANY,
    sleeps.COROUTINES,
    sleeps.THREADS,
    burn.SCENARIO,
    makespan.SCENARIO,
    idle.SCENARIO,
    start.SCENARIO,
    imports.SCENARIO,
    sqlite.ENQUEUE,
    sqlite.DRAIN,
    *rabbitmq.SCENARIOS,
    *guarantees.SCENARIOS,
    *curves.SCENARIOS,
)
