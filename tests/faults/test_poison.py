"""Tasks that end, block or outlast what runs them."""

from __future__ import annotations

import pytest

from tests.faults.conftest import LEASE, Scale
from tests.faults.trouble import Cut, FaultPlace, runs_of, strays
from tests.integration.worker.node import until

WAIT = 30.0


def test_a_task_that_ends_its_process_is_a_dead_letter_after_3_crashes(
    place: FaultPlace, scale: Scale, figures
) -> None:
    neighbours, each = scale.of(60, 500), scale.of(1, 5)
    poison = [f"{how}-{number}" for how in ("exit", "kill", "segfault") for number in range(each)]
    wanted = place.send_work(neighbours // 2)
    for subject in poison:
        place.send_task("end_the_process", subject, subject.partition("-")[0])
    wanted |= place.send_work(neighbours // 2, first=neighbours // 2)
    worker = place.node()
    until(lambda: place.stats().dead == len(poison), "the dead letters", deadline=WAIT * each)
    place.until_ended(wanted, deadline=WAIT)
    runs = runs_of(place.ledger)
    twice = place.ledger.repeated("end")
    figures(tasks=neighbours, kills=3 * len(poison), lost=0, duplicated=len(twice))
    # A store that cannot tell a death from giving back takes the one for the other once: see ADR 0021.
    counts = {3} if place.app.broker.capabilities.tells_deaths else {2, 3}
    assert {len(runs[subject]) for subject in poison} <= counts
    crashes = {line.pid: [Cut(line.moment)] for line in place.ledger.lines("begin") if line.subject in poison}
    assert strays(place.ledger, crashes) == {}, "a neighbour ran twice whose end could have been stored"
    letters = list(place.app.dead_letters.list())
    assert all("worker died" in letter.reason for letter in letters), letters
    assert worker.terminate() == 0, worker.log


def test_tasks_stuck_in_c_end_at_their_hard_limit(place: FaultPlace, scale: Scale, figures) -> None:
    number = scale.of(1, 20)
    worker = place.node("-c", "1")
    stuck = {
        f"stuck-{nth}": place.send_task("hold_the_lock", f"stuck-{nth}", 60.0, time_limit=1.0) for nth in range(number)
    }
    wanted = place.send_work(20 * number)
    place.until_ended(wanted, deadline=WAIT * number)
    for result in stuck.values():
        assert "TimeLimitExceeded" in repr(result.get(timeout=WAIT, propagate=False))
    figures(tasks=len(wanted), kills=number, lost=0, duplicated=len(place.ledger.repeated("begin")))
    runs = runs_of(place.ledger)
    assert [[run.end for run in runs[subject]] for subject in stuck] == [[None]] * number
    assert strays(place.ledger, {}) == {}
    assert place.stats().dead == 0
    assert worker.terminate() == 0, worker.log


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_outlasts_its_lease_runs_once(place: FaultPlace, pool: str, scale: Scale, figures) -> None:
    """One sleeps for more than three leases, one holds the interpreter's lock for as long; a second node waits."""
    seconds = scale.of(4, 40) * LEASE
    nodes = [place.node("-P", pool, "-c", "2") for _ in range(2)]
    results = [place.send_task(name, name, seconds) for name in ("nap", "hold_the_lock")]
    for result in results:
        assert result.get(timeout=seconds + WAIT) is None
    place.until_idle()
    (stood_still,) = map(float, place.ledger.subjects("stood_still"))
    figures(tasks=2, lost=0, duplicated=len(place.ledger.repeated("begin")), task_s=seconds, lock_held_s=stood_still)
    assert stood_still > 3 * LEASE, "the lock was not held: this proves nothing"
    assert sorted(place.ledger.subjects("begin")) == ["hold_the_lock", "nap"]
    assert sorted(place.ledger.subjects("end")) == ["hold_the_lock", "nap"]
    assert all("leases were lost" not in node.log for node in nodes)
    assert [node.terminate() for node in nodes] == [0, 0]
