"""Workflows whose workers are killed end all the same, each once, with the right value."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

FLOWS = 40
KILLED_FLOWS = 200
WIDTH = 12
SECONDS = 6.0
WAIT = 40.0
EXPECTED = 1 + sum(range(3, WIDTH)) + (0 + 1 + 2) + 1
"""The values of the members: 0 + 1, those from 3 on, the inner chord; and one for the last step."""

SEND = """
import time
from works import workflow
for run in range({flows}):
    workflow(str(run), {width}).apply_async()
    time.sleep({pause})
"""


def send(place: Place, flows: int, *, pause: float = 0.0) -> None:
    place.run(SEND.format(flows=flows, width=WIDTH, pause=pause))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_each_workflow_ends_once_with_its_value(short_place: Place, seed: int) -> None:
    place, chance = short_place, random.Random(seed)
    sending = threading.Thread(target=send, args=(place, KILLED_FLOWS), kwargs={"pause": SECONDS / KILLED_FLOWS})
    sending.start()
    workers = [place.worker("-c", "2", app="works") for _ in range(2)]
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        time.sleep(chance.uniform(0.2, 0.5))
        nth = chance.randrange(2)
        engines = workers[nth].engines()
        if engines and chance.random() < 0.75:
            os.kill(chance.choice(engines), signal.SIGKILL)
            continue
        workers[nth].kill()
        workers[nth] = place.worker("-c", "2", app="works")
    sending.join()
    until(lambda: len(set(place.ledger.subjects("finish"))) >= KILLED_FLOWS, "the end of all", deadline=WAIT)
    place.until_idle(deadline=WAIT)
    assert set(place.ledger.subjects("finish")) == {f"{run} {EXPECTED}" for run in range(KILLED_FLOWS)}
    doubled = [run for run, times in Counter(place.ledger.subjects("finish")).items() if times > 1]
    assert len(doubled) <= len(place.workers) * 2  # those that ran when they were killed
    assert place.stats().dead == 0


def test_what_follows_is_sent_once_where_nothing_is_killed(place: Place) -> None:
    place.worker("-c", "2", app="works")
    send(place, FLOWS)
    until(lambda: len(place.ledger.subjects("finish")) >= FLOWS, "the end of all")
    place.until_idle()
    assert sorted(place.ledger.subjects("finish")) == sorted(f"{run} {EXPECTED}" for run in range(FLOWS))
    assert len(place.ledger.subjects("total")) == 2 * FLOWS
    assert len(place.ledger.subjects("one")) == FLOWS * (1 + 1 + (WIDTH - 3) + 3)


def test_a_member_whose_time_was_up_ends_the_chord(place: Place) -> None:
    place.worker("-c", "1", app="works")
    told = place.run(
        """
        from works import one, stuck, told, total
        from celeriac import chord
        from celeriac.exceptions import CeleryError
        body = total.s("x").on_error(told.s("x"))
        result = chord([one.s(1, "x"), stuck.s().set(time_limit=0.5)], body)()
        try:
            result.get(timeout=15)
        except CeleryError as error:
            print(type(error).__name__)
        print(type(result.result).__name__, result.result)
        """
    )
    assert told.split()[0] == "TimeLimitExceeded"
    assert "ChordError Dependency" in told
    place.until_noted("told")
    assert place.ledger.subjects("total") == []


def test_a_client_killed_half_way_leaves_nothing_that_waits(place: Place) -> None:
    place.worker("-c", "2", app="works")
    program = """
import os, sys
from works import one, total
from celeriac import chord
from celeriac.app import workflows
workflows._SENT_BY = 1.0
def members():
    for n in range(5000):
        if n == 3000:
            print(result_id, flush=True)
            os.kill(os.getpid(), 9)
        yield one.s(n, "cut")
result_id = "the-body"
chord(members(), total.s("cut")).apply_async(task_id=result_id)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place.directory, env=place.environment, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    result = place.app.AsyncResult("the-body")
    until(result.failed, "the end of the chord", deadline=20.0)
    assert "ended before it had sent all members" in str(result.result)
    place.until_idle()
    assert place.ledger.subjects("total") == []
