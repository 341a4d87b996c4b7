"""Results by `rpc://` between stock Celery and celeriac, each way."""

from __future__ import annotations

import pytest

from tests.interop.fleet import LIBRARIES, OURS, STOCK

pytestmark = pytest.mark.interop


@pytest.fixture
def fleet(own_fleet, rabbitmq):
    made = own_fleet(broker_url=rabbitmq.url, result_backend="rpc://", task_track_started=True)
    workers = [made.start_worker(library, "-Q", f"rpc-{library}", "-c", "2", "-n", library) for library in LIBRARIES]
    for worker in workers:
        worker.wait_ready()
    return made


def test_a_client_has_the_results_of_the_others_worker(fleet):
    for sender, worker in ((OURS, STOCK), (STOCK, OURS)):
        client, queue = fleet.client(sender), f"rpc-{worker}"
        sent = [client.send("project.echo", (number,), queue=queue) for number in range(20)]
        ends = [client.outcome(task_id) for task_id in reversed(sent)]
        assert [end["value"] for end in ends] == [[[number], {}] for number in reversed(range(20))], sender
        failed = client.outcome(client.send("project.fail", ("own",), queue=queue))
        assert failed["error"] == {"name": "Broken", "is_real": True, "args": ["part", 7]}, sender
