"""Nodes and engines killed, frozen and stopped amid the work: nothing is lost, and only the cut-off runs twice."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing

import pytest

from tests.faults.conftest import LEASE, Scale
from tests.faults.crew import Crew
from tests.faults.trouble import Cut, FaultPlace, runs_of, strays
from tests.integration.worker.node import stand_still, until

WAIT = 30.0
WAITING = 300
"""Tasks that wait while a crew is struck: more than it does between two looks."""
RECOVERED = LEASE + 2.0
"""Seconds after a kill in which what the killed held is back, and others have taken their places."""
LATE = 0.5
"""By so many seconds one in a hundred delayed tasks may be late outside those."""


@pytest.mark.parametrize("store", ["sqlite", "redis", "rabbitmq", "quorum"])
def test_kills_at_random_moments_of_a_drain_lose_nothing(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    tasks, kills = scale.of(300, 2000), scale.of(3, 10)
    wanted = place.send_work(tasks)
    crew = Crew(place, chance=chance)
    for goal in sorted(chance.sample(range(tasks * 4 // 5), kills)):
        place.until_noted("end", goal, deadline=WAIT)
        time.sleep(chance.uniform(0, 0.02))
        crew.strike()
    place.until_ended(wanted, deadline=WAIT)
    only_the_cut_off_ran_twice(crew, figures, tasks=tasks)


def test_a_kill_storm_amid_the_work_loses_nothing(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    strikes, pause = scale.of(4, 15), scale.of(1, 2)
    wanted = place.send_work(WAITING)

    def keep_busy() -> None:
        if place.stats().ready < WAITING:
            wanted.update(place.send_work(WAITING, first=len(wanted)))

    crew = Crew(place, chance=chance)
    for _ in range(strikes):
        next_strike = time.monotonic() + pause
        while time.monotonic() < next_strike:
            keep_busy()
            time.sleep(0.05)
        crew.strike_at_work(keep_busy, deadline=WAIT)
    place.until_ended(wanted, deadline=WAIT)
    assert [bool(strike.under_way) for strike in crew.strikes] == [True] * strikes
    assert crew.unfinished() == {}
    only_the_cut_off_ran_twice(crew, figures, tasks=len(wanted))


def only_the_cut_off_ran_twice(crew: Crew, figures, *, tasks: int) -> None:
    ledger = crew.place.ledger
    figures(tasks=tasks, kills=crew.kills, lost=0, duplicated=len(ledger.repeated("end")))
    assert strays(ledger, crew.cut, copies=crew.place.copies) == {}
    assert crew.place.stats().dead == 0


def test_a_node_frozen_past_its_lease_goes_on_and_nothing_is_lost(
    place: FaultPlace, store: str, scale: Scale, figures
) -> None:
    tasks, rounds = scale.of(300, 2000), scale.of(1, 5)
    worker, other = place.node(), place.node()
    wanted = place.send_work(tasks)
    cuts: dict[int, list[Cut]] = {}
    locked = []
    for nth in range(rounds):
        place.until_noted("end", tasks * (nth + 1) // (rounds + 2), deadline=WAIT)
        began = time.monotonic()
        with stand_still(worker.family()) as family:
            is_locked = store == "sqlite" and is_locked_by_the_frozen(place)
            time.sleep(2.5)  # the freeze itself: longer than two leases
        thawed = time.monotonic()
        if is_locked:
            locked.append(Cut(began, thawed))
        for pid in family:
            cuts.setdefault(pid, []).append(Cut(began, thawed))
    place.until_ended(wanted, deadline=WAIT)
    for pid, freezes in cuts.items():
        cuts[pid] = [Cut(cut.begins, first_begin(place, pid, cut.ends)) for cut in freezes]
    twice = len(place.ledger.repeated("end"))
    figures(tasks=tasks, kills=rounds, lost=0, duplicated=twice, froze_with_the_lock=len(locked))
    assert strays(place.ledger, cuts, locked, copies=place.copies) == {}
    assert worker.terminate() == 0, worker.log
    assert other.terminate() == 0, other.log


def is_locked_by_the_frozen(place: FaultPlace) -> bool:
    """Tell whether SQLite's lock is held by one who stands still: then all are cut off from the store."""
    with closing(sqlite3.connect(place.directory / "celeriac.db", timeout=1.0)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.rollback()
        return False


def first_begin(place: FaultPlace, pid: int, thawed: float) -> float:
    """Return when a thawed process first began a task: it may have been stopped between its last look and the begin."""
    begins = [line.moment for line in place.ledger.lines("begin") if line.pid == pid and line.moment >= thawed]
    return min(begins, default=thawed)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_no_task_that_ended_runs_again_after_a_term(  # noqa: PLR0913  fixtures
    make_place, store: str, pool: str, scale: Scale, chance: random.Random, figures
) -> None:
    """Each TERM comes some tasks and milliseconds after the last worker's, while tasks run and others wait."""
    place = make_place(store)
    stops = scale.of(8, 200)
    wanted: set[str] = set()
    for _ in range(stops):
        if place.stats().ready < WAITING:
            wanted |= place.send_work(WAITING, first=len(wanted))
        worker = place.node("-P", pool, "-c", "2")
        place.until_noted("end", place.ledger.count("end") + chance.randrange(1, 20))
        time.sleep(chance.uniform(0, 0.02))
        assert worker.terminate() == 0, worker.log
        place.workers.remove(worker)
        assert place.stats().ready > 0, "the stop came after the work"
        until(lambda: place.stats().leased == 0, "the return of what was held")
    place.node()
    place.until_ended(wanted, deadline=WAIT)
    again = {subject: runs for subject, runs in runs_of(place.ledger).items() if len(runs) > 1}
    figures(tasks=len(wanted), kills=stops, lost=0, duplicated=len(again))
    assert again == {}
    assert place.stats().dead == 0


def test_delayed_tasks_outlive_kills_and_are_never_early(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    tasks, last = scale.of(300, 1000), scale.of(6, 10)
    crew = Crew(place, chance=chance)
    now = time.time()
    for subject in range(tasks):
        moment = now + chance.uniform(1.5, last)
        place.send_task("due", subject, moment, countdown=max(0.0, moment - time.time()))
    kills = [time.monotonic()]
    crew.strike("both")
    until(lambda: time.time() > now + 2.5, "the middle of the due moments")
    kills.append(time.monotonic())
    crew.strike("node")
    crew.strike("engine")
    place.until_ended({str(subject) for subject in range(tasks)}, deadline=WAIT)
    late = [(line.moment - float(line.subject), float(line.subject)) for line in place.ledger.lines("late")]
    recovered = sorted(by for due, by in late if not any(kill <= due <= kill + RECOVERED for kill in kills))
    p99 = recovered[len(recovered) * 99 // 100]
    twice = len(place.ledger.repeated("end"))
    figures(tasks=tasks, kills=crew.kills, lost=0, duplicated=twice, p99_late_after_recovery_s=p99)
    assert min(by for _, by in late) >= -0.002, "early by more than the clock's rounding"
    if scale.is_full:  # a test that runs beside others says nothing of half a second
        assert p99 < LATE


def test_retries_are_counted_right_across_kills(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    tasks, kills = scale.of(60, 500), scale.of(3, 10)
    crew = Crew(place, chance=chance)
    for subject in range(tasks):
        place.send_task("again", subject)
    for goal in sorted(chance.sample(range(tasks * 3), kills)):
        place.until_noted("try", goal, deadline=WAIT)
        crew.strike()
    wanted = {str(subject) for subject in range(tasks)}
    place.until_ended(wanted, deadline=WAIT)
    figures(tasks=tasks, kills=crew.kills, lost=0, duplicated=len(place.ledger.repeated("try")))
    assert set(place.ledger.subjects("try")) == {f"{subject}:{tries}" for subject in wanted for tries in range(4)}
