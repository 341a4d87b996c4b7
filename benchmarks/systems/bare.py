"""A client of RabbitMQ and nothing else: what a program pays that publishes by itself."""

from __future__ import annotations

from benchmarks.systems.system import RabbitQueues, System, python_of

SYSTEM = System(
    name="bare",
    title="bare client",
    python=python_of(".venv-interop", "CELERIAC_STOCK_PYTHON", "py-amqp, which stock Celery brings along"),
    side="bare_client_side",
    worker=lambda _: None,
    tasks_in=RabbitQueues(("bare",)),
    imports="import amqp",
)
