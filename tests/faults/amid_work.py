"""Trouble with the broker while one side produces and the other consumes, and what must be true afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.trouble import Cut, FaultPlace, Producer, strays
from tests.integration.worker.node import until

WAIT = 30.0
RESUMED = 5.0
"""Seconds after the broker's return in which tasks run again, and a call of the client is over."""


def trouble_amid_work(  # noqa: PLR0913  one for each way in which troubles differ
    place: FaultPlace,
    cause: Callable[[], None],
    *,
    figures: Callable[..., None],
    kills: int = 1,
    is_kept: Callable[[float], bool] = lambda _: True,
    has_resumed: Callable[[float], bool] | None = None,
) -> None:
    """Produce and consume; `cause` makes trouble and returns when it is over. Then all that was sent is done.

    `is_kept` is the producer's. `has_resumed` tells, from the moment on at which the trouble was over, whether work
    goes on; by default it does when a task has begun.
    """
    worker = place.node()
    with Producer(place, is_kept=is_kept) as producer:
        place.until_noted("end", 50)
        began = time.monotonic()
        cause()
        over = time.monotonic()
        resumed = has_resumed or (lambda moment: any(line.moment > moment for line in place.ledger.lines("begin")))
        until(lambda: resumed(over), "a task after the trouble", deadline=RESUMED)
        resumed_after = time.monotonic() - over
        seen = place.ledger.count("end")
        place.until_noted("end", seen + 50, deadline=RESUMED + WAIT)
        wanted = producer.stop()
    place.until_ended(wanted, deadline=WAIT)
    figures(
        tasks=len(wanted),
        kills=kills,
        lost=0,
        duplicated=len(place.ledger.repeated("end")),
        resumed_after_s=resumed_after,
        refused=producer.refused,
        in_doubt=producer.in_doubt,
        longest_send_s=producer.longest,
    )
    assert strays(place.ledger, {}, [Cut(began, over + RESUMED)]) == {}
    assert place.stats().dead == 0
    assert worker.terminate() == 0, worker.log
