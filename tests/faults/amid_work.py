"""Trouble with the broker while one side produces and the other consumes, and what must be true afterwards."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from celeriac import Celeriac
from celeriac.exceptions import OperationalError
from tests.faults.trouble import Cut, FaultPlace, Producer, strays
from tests.integration.worker.node import until

WAIT = 30.0
RESUMED = 5.0
"""Seconds after the broker's return in which tasks run again."""
FOUND_OUT = 15.0
"""The same where connections lead nowhere and nobody says so."""
PROBE = "probe"


def trouble_amid_work(  # noqa: PLR0913  one for each way in which troubles differ
    place: FaultPlace,
    cause: Callable[[], None],
    *,
    figures: Callable[..., None],
    kills: int = 1,
    is_kept: Callable[[float], bool] = lambda _: True,
    past_the_trouble: str | None = None,
    has_resumed: Callable[[], bool] | None = None,
    has_calmed: Callable[[], bool] = lambda: True,
    mend: Callable[[], None] = lambda: None,
    within: float = RESUMED,
    deadline: float = WAIT,
) -> Producer:
    """Produce and consume; `cause` makes trouble and returns when it is over. Then all that was sent is done.

    `is_kept` is the producer's, which is returned. Work goes on when a task begins that was sent after the trouble to
    `past_the_trouble`, a URL (by default the place's own), or when `has_resumed` says so. Twice may run only what ran
    before that and before `has_calmed`, and what was sent meanwhile to a store that cannot tell a repeated message.
    When all is done `mend` is called, and then the queue becomes empty. `deadline` is for the end of all, in seconds.
    """
    worker = place.node()
    with Producer(place, is_kept=is_kept) as producer:
        place.until_noted("end", 50)
        began = time.monotonic()
        cause()
        over = time.monotonic()
        if has_resumed is None:
            send_probe(place, past_the_trouble, deadline=within)
        resumed = has_resumed or (lambda: any(each.startswith(PROBE) for each in place.ledger.subjects("begin")))
        until(resumed, "a task after the trouble", deadline=over + within - time.monotonic())
        back = time.monotonic()
        until(has_calmed, "the end of the trouble", deadline=WAIT)
        calm = time.monotonic()
        place.until_noted("end", place.ledger.count("end") + 50, deadline=WAIT)
        wanted = producer.stop()
    place.until_done(wanted, deadline=deadline)
    mend()
    place.until_idle(deadline=deadline)
    figures(tasks=len(wanted), kills=kills, lost=0, resumed_after_s=back - over, **told_by(place, producer))
    ran_once_but_for(Cut(began, calm), place, producer)
    assert place.stats().dead == 0
    assert worker.terminate() == 0, worker.log
    return producer


def told_by(place: FaultPlace, producer: Producer) -> dict[str, float]:
    """Return what the ledger and the producer have seen."""
    return {
        "duplicated": len(place.ledger.repeated("end")),
        "refused": producer.refused,
        "in_doubt": producer.in_doubt,
        "longest_send_s": producer.longest,
    }


def ran_once_but_for(trouble: Cut, place: FaultPlace, producer: Producer) -> None:
    repeated = set() if place.tells_repeats else producer.sent_amid(trouble)
    found = strays(place.ledger, {}, [trouble], copies=place.copies)
    found = {subject: runs for subject, runs in found.items() if subject not in repeated or len(runs) > 2}
    assert not found, f"ran more than once: {found}, {trouble}"


def send_probe(place: FaultPlace, url: str | None, *, deadline: float) -> None:
    """Send a task as soon as the broker takes it. Each attempt has a name of its own: one that fails may arrive."""
    attempts = itertools.count()
    settings = {**place.settings, "broker_transport_options": place.transport, "task_ignore_result": True}
    with Celeriac("probe", broker=url or place.broker_url, set_as_current=False, **settings) as client:

        def is_sent() -> bool:
            try:
                client.send_task("trouble.work", (f"{PROBE}-{next(attempts)}",))
            except OperationalError:
                return False
            return True

        until(is_sent, "a send after the trouble", deadline=deadline)
