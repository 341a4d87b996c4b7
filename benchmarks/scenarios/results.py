"""Running tasks from a full queue while the client that sent them reads every result."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import REST
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as caller, site.client() as starter:
        caller.do("call_all", count=tasks)
        site.store.hide()
        with site.worker() as worker:
            starter.do("round_trips", count=1, pause=0.0)
            time.sleep(REST)
            before = worker.cost()
            site.store.show()
            starter.do("send", count=1)  # tells a worker that sleeps
            read = caller.do("read_all")
            site.wait_until_done()
            cost = worker.cost() - before
    return {
        "results_rate": tasks / (read["ended"] - before.wall),
        "results_cpu": (cost.worker + cost.broker) / tasks * 1e6,
        "results_worker_cpu": cost.worker / tasks * 1e6,
        "results_broker_cpu": cost.broker / tasks * 1e6,
        "results_client_cpu": read["cpu"] / tasks * 1e6,
    }


SCENARIO = Scenario(
    name="results",
    title="Drain with results, all read",
    figures=(
        Figure(
            "results_rate",
            "rate to the last value read",
            "/s",
            more=True,
            targets=(Target(15, of=("celery",)), Target(4, of=("dramatiq",))),
        ),
        Figure("results_cpu", "CPU per task, worker and broker", "µs"),
        Figure("results_worker_cpu", "of that, the worker's", "µs"),
        Figure("results_broker_cpu", "of that, the broker's", "µs"),
        Figure("results_client_cpu", "client CPU per result read", "µs"),
    ),
    measure=measure,
    tasks=2000,
    fast=300,
)
