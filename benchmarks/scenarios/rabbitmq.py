"""On RabbitMQ: sending with confirms, draining, results by ``rpc://``, latency; and what quorum queues cost.

Dramatiq keeps no results in RabbitMQ: those that it has to give are in Redis. Of what is queued for a worker that is
stopped, RabbitMQ sends it as many as it has room for, 2,048 for Celery and 2,000 for Dramatiq, before the drain is
measured.
"""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Target, percentile
from benchmarks.scenarios.draining import RABBIT_POLL, REST, drain
from benchmarks.scenarios.scenario import Scenario, kept_awake
from benchmarks.site import Site
from benchmarks.stores import RabbitStore

_MIB = 2**20
_WARM_UP = 200
_BULK_WARM_UP = 1000
_PAUSE = 0.005


def _enqueue(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("send", count=_WARM_UP)
        before = site.store.cpu_seconds()
        cost = client.do("send", count=tasks)
        server = site.store.cpu_seconds() - before
    return {
        "rabbitmq_enqueue_rate": tasks / cost["wall"],
        "rabbitmq_enqueue_cpu": cost["cpu"] / tasks * 1e6,
        "rabbitmq_enqueue_broker_cpu": server / tasks * 1e6,
    }


def _bulk(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("send_many", count=_BULK_WARM_UP)
        cost = client.do("send_many", count=tasks)
        values = {"rabbitmq_bulk_rate": tasks / cost["wall"], "rabbitmq_bulk_cpu": cost["cpu"] / tasks * 1e6}
        if site.system.name == "celeriac":
            client.do("send_grouped", count=_BULK_WARM_UP)
            cost = client.do("send_grouped", count=tasks)
            values["rabbitmq_grouped_rate"] = tasks / cost["wall"]
            values["rabbitmq_grouped_cpu"] = cost["cpu"] / tasks * 1e6
    return values


def _drain(site: Site, tasks: int) -> dict[str, float]:
    done = drain(site, tasks)
    return {
        "rabbitmq_drain_rate": done.rate,
        "rabbitmq_drain_cpu": done.cpu,
        "rabbitmq_drain_worker_cpu": done.worker_cpu,
        "rabbitmq_drain_broker_cpu": done.broker_cpu,
        "rabbitmq_memory_idle": done.memory_before / _MIB,
        "rabbitmq_memory_growth": (done.memory_after - done.memory_before) / _MIB,
    }


def _results(site: Site, tasks: int) -> dict[str, float]:
    assert isinstance(site.store, RabbitStore)
    with site.client() as caller, site.worker() as worker:
        caller.do("round_trips", count=1, pause=0.0)
        time.sleep(REST)
        with worker.frozen():
            caller.do("call_all", count=tasks)
            site.store.wait_until_queued(tasks)
            before = worker.cost()
        read = caller.do("read_all")
        site.wait_until_done(poll=RABBIT_POLL)
        cost = worker.cost() - before
    return {
        "rabbitmq_results_rate": tasks / (read["ended"] - before.wall),
        "rabbitmq_results_cpu": (cost.worker + cost.broker) / tasks * 1e6,
        "rabbitmq_results_worker_cpu": cost.worker / tasks * 1e6,
        "rabbitmq_results_client_cpu": read["cpu"] / tasks * 1e6,
    }


def _latency(site: Site, tasks: int) -> dict[str, float]:
    p50, p99 = _round_trips(site, tasks)
    values = {"rabbitmq_latency_p50": p50, "rabbitmq_latency_p99": p99}
    if site.system.name == "celeriac":
        site.settings = {"result_backend": site.redis_url}
        values["rabbitmq_latency_redis_p50"], values["rabbitmq_latency_redis_p99"] = _round_trips(site, tasks)
    return values


def _round_trips(site: Site, tasks: int) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    with site.client() as client, site.worker():
        client.do("round_trips", count=_WARM_UP // 10, pause=_PAUSE)
        time.sleep(REST)
        took = client.do("round_trips", count=tasks, pause=_PAUSE)["seconds"]
    return percentile(took, 0.5) * 1e3, percentile(took, 0.99) * 1e3


def _queue_types(site: Site, tasks: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for kind in ("classic", "quorum"):
        site.settings = {"task_default_queue_type": kind, "task_default_queue": kind}
        sent = _enqueue(site, tasks // 10)
        done = drain(site, tasks)
        values |= {
            f"rabbitmq_{kind}_send": sent["rabbitmq_enqueue_rate"],
            f"rabbitmq_{kind}_send_cpu": sent["rabbitmq_enqueue_broker_cpu"],
            f"rabbitmq_{kind}_drain": done.rate,
            f"rabbitmq_{kind}_cpu": done.cpu,
        }
    return values


ENQUEUE = Scenario(
    name="rabbitmq-enqueue",
    title="RabbitMQ: enqueue one at a time, each confirmed",
    figures=(
        Figure("rabbitmq_enqueue_rate", "rate", "/s", more=True, targets=(Target(0.8, of=("bare",)),)),
        Figure("rabbitmq_enqueue_cpu", "client CPU per message", "µs"),
        Figure("rabbitmq_enqueue_broker_cpu", "the broker's", "µs"),
    ),
    measure=_enqueue,
    tasks=2000,
    fast=200,
    even=True,
    store="rabbitmq",
    work="confirmed",
)
BULK = Scenario(
    name="rabbitmq-bulk",
    title="RabbitMQ: enqueue in bulk, all confirmed",
    figures=(
        Figure("rabbitmq_bulk_rate", "rate", "/s", more=True, targets=(Target(9000.0),)),
        Figure("rabbitmq_bulk_cpu", "client CPU per message", "µs"),
        Figure("rabbitmq_grouped_rate", "rate of concurrent coroutines", "/s", more=True, targets=(Target(9000.0),)),
        Figure("rabbitmq_grouped_cpu", "client CPU per message", "µs"),
    ),
    measure=_bulk,
    tasks=2500,
    fast=250,
    store="rabbitmq",
    only=("floor", "celeriac", "celery", "dramatiq"),
    work="confirmed",
)
DRAIN = Scenario(
    name="rabbitmq-drain",
    title="RabbitMQ: drain no-op tasks, no results",
    figures=(
        Figure(
            "rabbitmq_drain_rate",
            "rate, 2 engines",
            "/s",
            more=True,
            targets=(Target(7, of=("celery",)), Target(1.5, of=("dramatiq",))),
        ),
        Figure("rabbitmq_drain_cpu", "CPU per task, worker and broker", "µs"),
        Figure("rabbitmq_drain_worker_cpu", "of that, the worker's", "µs"),
        Figure("rabbitmq_drain_broker_cpu", "of that, the broker's", "µs"),
        Figure("rabbitmq_memory_idle", "node's memory (PSS), idle", "MiB", targets=(Target(45),)),
        Figure("rabbitmq_memory_growth", "what the drain adds to it", "MiB", targets=(Target(3),)),
    ),
    measure=_drain,
    tasks=4000,
    fast=400,
    store="rabbitmq",
    only=("floor", "celeriac", "celery", "dramatiq"),
)
RESULTS = Scenario(
    name="rabbitmq-results",
    title="RabbitMQ: drain with results by rpc, all read (Dramatiq: by Redis)",
    figures=(
        Figure(
            "rabbitmq_results_rate",
            "rate to the last value read",
            "/s",
            more=True,
            targets=(Target(5, of=("celery",)),),
        ),
        Figure("rabbitmq_results_cpu", "CPU per task, worker and broker", "µs"),
        Figure("rabbitmq_results_worker_cpu", "of that, the worker's", "µs"),
        Figure("rabbitmq_results_client_cpu", "client CPU per result read", "µs"),
    ),
    measure=_results,
    tasks=2000,
    fast=200,
    store="rabbitmq",
    only=("floor", "celeriac", "celery", "dramatiq"),
)
LATENCY = Scenario(
    name="rabbitmq-latency",
    title="RabbitMQ: latency, idle worker, results by rpc (Dramatiq: by Redis, sends without confirms)",
    figures=(
        Figure("rabbitmq_latency_p50", "enqueue to result, p50", "ms", targets=(Target(1, of=("dramatiq",)),)),
        Figure("rabbitmq_latency_p99", "enqueue to result, p99", "ms", targets=(Target(4.0),)),
        Figure("rabbitmq_latency_redis_p50", "with results by Redis, p50", "ms"),
        Figure("rabbitmq_latency_redis_p99", "with results by Redis, p99", "ms"),
    ),
    measure=_latency,
    tasks=400,
    fast=50,
    even=True,
    store="rabbitmq",
    only=("floor", "celeriac", "celery", "dramatiq"),
    work="quick",
)
QUEUE_TYPES = Scenario(
    name="rabbitmq-queues",
    title="RabbitMQ: classic and quorum queues",
    figures=tuple(
        figure
        for kind in ("classic", "quorum")
        for figure in (
            Figure(f"rabbitmq_{kind}_send", f"{kind}: enqueue one at a time", "/s", more=True),
            Figure(f"rabbitmq_{kind}_send_cpu", f"{kind}: broker's CPU per message sent", "µs"),
            Figure(f"rabbitmq_{kind}_drain", f"{kind}: drain, 2 engines", "/s", more=True),
            Figure(f"rabbitmq_{kind}_cpu", f"{kind}: CPU per task, worker and broker", "µs"),
        )
    ),
    measure=_queue_types,
    tasks=20_000,
    fast=2000,
    even=True,
    store="rabbitmq",
    only=("celeriac",),
)
SCENARIOS = (ENQUEUE, BULK, DRAIN, RESULTS, LATENCY, kept_awake(LATENCY), QUEUE_TYPES)
