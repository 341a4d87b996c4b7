"""What is acknowledged before it runs never runs twice, and whoever waits for it is told when its worker dies."""

from __future__ import annotations

import os
import signal

import pytest

from celeriac import chord
from celeriac.exceptions import TimeLimitExceeded, WorkerLostError
from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 10.0


def sig(place: Place, name: str, *args: object, **options: object):
    return place.app.signature(f"shop.{name}", args=args, **options)


def in_a_chord(place: Place, *members: object):
    """Send a chord of these and one that succeeds; return the result of its body, which would end with a sum."""
    return chord([sig(place, "add", 1, 1), *members], sig(place, "total")).apply_async()


def begun(place: Place, times: int = 1) -> None:
    place.until_noted("begin", times)


def never_runs_again(place: Place) -> None:
    until(lambda: place.stats().leased == 0, "nothing held")
    assert place.stats().ready == 0
    assert place.ledger.count("begin") == 1


def test_the_death_of_its_engine_is_its_end(short_place: Place) -> None:
    place = short_place
    worker = place.worker("-c", "1")
    result = place.send("early_nap", 60)
    begun(place)
    os.kill(worker.engines()[0], signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="died while it ran"):
        result.get(timeout=WAIT)
    never_runs_again(place)


@pytest.mark.parametrize("store", ["sqlite", "redis"])
@pytest.mark.parametrize("is_followed", [False, True])
def test_so_is_the_end_of_its_node_where_a_workflow_waits_for_it(make_place, store: str, is_followed: bool) -> None:
    place = make_place(store, visibility_timeout=1.0)
    first = place.worker("-c", "1")
    member = sig(place, "early_nap", 60)
    result = in_a_chord(place, member | sig(place, "add", 1) if is_followed else member)
    begun(place)
    first.kill()
    place.worker("-c", "1")
    with pytest.raises(WorkerLostError):
        result.get(timeout=WAIT)
    never_runs_again(place)


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_chord_hears_of_the_death_of_an_engine(make_place, store: str) -> None:
    place = make_place(store)
    worker = place.worker("-c", "2")
    result = in_a_chord(place, sig(place, "early_nap", 60))
    begun(place)
    for engine in worker.engines():
        os.kill(engine, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        result.get(timeout=WAIT)
    never_runs_again(place)


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_worker_that_is_stopped_by_force_has_nobody_run_it_again(make_place, store: str) -> None:
    place = make_place(store)
    first = place.worker("-c", "1")
    result = in_a_chord(place, sig(place, "early_nap", 60))
    begun(place)
    first.signal(signal.SIGQUIT)
    first.wait()
    place.worker("-c", "1")
    with pytest.raises(WorkerLostError):
        result.get(timeout=WAIT)
    never_runs_again(place)


def test_a_time_limit_is_its_end_too(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("early_nap", 60, time_limit=0.5)
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=WAIT)
    never_runs_again(place)


def test_one_whose_result_nobody_wants_leaves_none(place: Place) -> None:
    worker = place.worker("-c", "1")
    result = place.send("early_nap", 60, ignore_result=True)
    begun(place)
    os.kill(worker.engines()[0], signal.SIGKILL)
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
    assert place.app.AsyncResult(result.id).state == "PENDING"


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_one_that_a_workflow_waits_for_ends_as_others_do(make_place, store: str) -> None:
    place = make_place(store)
    place.worker("-c", "1")
    assert (
        in_a_chord(place, sig(place, "early_nap", 0) | sig(place, "add", 3, 4, immutable=True)).get(timeout=WAIT) == 9
    )
    never_runs_again(place)
