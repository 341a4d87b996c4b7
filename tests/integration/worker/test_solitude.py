"""A task that kills its engine time after time takes no other task with it: what has one crash left runs alone."""

from __future__ import annotations

import pytest

from celeriac.exceptions import WorkerLostError
from tests.integration.worker.place import Place

WAIT = 45.0


@pytest.mark.timeout(90)
@pytest.mark.parametrize("store", ["sqlite", "redis", "rabbitmq"])
@pytest.mark.parametrize(
    ("pool", "poison", "nap"),
    [(("-c", "1"), "apoison", "anap"), (("-P", "threads", "-c", "5", "--processes", "1"), "poison", "nap")],
    ids=["coroutines", "threads"],
)
def test_a_task_that_kills_its_engine_three_times_takes_no_neighbour_along(
    short_place: Place, pool: tuple[str, ...], poison: str, nap: str
) -> None:
    place = short_place
    innocent = place.send_many(nap, [(0.6, f"innocent {number}") for number in range(4)])
    guilty = place.send(poison, 0.3)
    worker = place.worker(*pool)
    assert [result.get(timeout=WAIT) for result in innocent] == [f"innocent {number}" for number in range(4)]
    with pytest.raises(WorkerLostError, match="died 3 times"):
        guilty.get(timeout=WAIT)
    place.until_idle()
    assert place.ledger.count("poison") == 3
    assert place.stats().dead == 1
    assert "runs alone in its engine" in worker.log
    assert worker.terminate() == 0, worker.log
