"""Two workers under load whose processes are killed, stopped and replaced at random for some seconds."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

SECONDS = 12.0
PAIRS = 1500
WAIT = 40.0


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_nothing_is_lost_whatever_is_killed(short_place: Place, pool: str) -> None:
    place = short_place
    sending = threading.Thread(target=send_pairs, args=(place,))
    sending.start()
    kill_at_random(place, pool, random.Random(pool))
    sending.join()
    for event in ("work", "dream", "leaf"):
        until(lambda event=event: len(set(place.ledger.subjects(event))) == PAIRS, f"all of {event}", deadline=WAIT)
    place.until_idle(deadline=WAIT)
    assert place.stats().dead == 0


def send_pairs(place: Place) -> None:
    for number in range(PAIRS):
        place.app.send_task("workshop.work", (number,))
        place.app.send_task("workshop.dream", (number,))
        time.sleep(SECONDS / PAIRS / 2)


def kill_at_random(place: Place, pool: str, chance: random.Random) -> None:
    """End with two workers that live."""
    options = ("-P", pool, "-c", "2")
    workers = [place.worker(*options, app="workshop") for _ in range(2)]
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        time.sleep(chance.uniform(0.3, 0.7))
        nth = chance.randrange(2)
        worker = workers[nth]
        engines = worker.engines()
        if engines and chance.random() < 0.75:
            os.kill(chance.choice(engines), signal.SIGKILL)
            continue
        end = chance.choice([worker.kill, worker.kill_supervisor, worker.terminate])
        end()
        workers[nth] = place.worker(*options, app="workshop")
