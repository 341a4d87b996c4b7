"""Half of what a node can do, for ten minutes, with failures, retries and resets: latency and memory do not drift."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Scale
from tests.faults.processes import kib
from tests.faults.proxy import Proxy
from tests.faults.trouble import Cut, FaultPlace, strays
from tests.integration.worker.node import WorkerProcess
from tests.servers.process import ServerProcess

SECONDS = int(os.environ.get("FAULTS_SOAK_SECONDS", "600"))
"""Length of the full form."""
SLICES = 10
"""Parts of a soak. Each has its p99 and its memory; medians of several tell a drift from the machine's other work."""
DRIFT, DRIFT_S = 1.5, 0.02
"""The late slices' p99 may be so many times the early ones', and so many seconds above."""
GROWTH_KIB = 3 * 1024
"""What either side may need more at the end than after the first fifth, in the full form."""
WARMING_KIB = 16 * 1024
"""The same in the short form, which ends before all that is made once is made."""
RECONNECTED = 1.0
"""Seconds after a reset in which a completion is stored at the latest."""
WAIT = 60.0


@pytest.fixture(params=["redis", "rabbitmq"])
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.mark.timeout(900)
def test_latency_and_memory_do_not_drift(  # noqa: PLR0913  fixtures
    place_on, server: ServerProcess, proxy: Proxy, scale: Scale, tmp_path, figures
) -> None:
    seconds, resets = scale.of(8, SECONDS), scale.of(3, 20)
    # On RabbitMQ results are kept elsewhere: a producer keeps those by rpc that it does not read.
    place: FaultPlace = place_on(server.url_at(proxy.port), results=f"sqlite:///{tmp_path / 'results.db'}")
    backlog = send_backlog(place, scale.of(300, 3000))
    worker = place.node()
    engines = worker.engines()
    rate = capacity(place, backlog)
    skipped = place.ledger.count("latency")
    producer = start_producer(place, seconds, pause=2 / rate)
    sizes, cuts = watch(proxy, producer, worker, seconds=seconds, resets=resets)
    assert producer.wait(WAIT) == 0
    place.until_idle(deadline=WAIT)
    ledger = place.ledger
    sent, ended = ledger.subjects("sent"), set(ledger.subjects("end"))
    wanted = {tried for subject in map(int, sent) for tried in tries(subject)}
    p99s = [p99(part) for part in slices([float(text) for text in ledger.subjects("latency")[skipped:]])]
    early, late = statistics.median(p99s[: SLICES // 2]), statistics.median(p99s[SLICES // 2 :])
    growths = [growth([size[side] for size in sizes]) for side in (0, 1)]
    figures(
        tasks=len(sent),
        kills=resets,
        lost=len(wanted - ended),
        duplicated=len(ledger.repeated("begin")),
        refused=ledger.count("refused"),
        rate=len(sent) / seconds,
        capacity=rate,
        p99_early_s=early,
        p99_late_s=late,
        node_kib=max(size[0] for size in sizes),
        node_growth_kib=growths[0],
        producer_growth_kib=growths[1],
    )
    assert wanted - ended == set()
    assert len(sent) + ledger.count("refused") == ledger.count("send")
    assert strays(ledger, {}, cuts, copies=place.copies) == {}
    assert worker.log.count("raised unexpected") >= sum(int(subject) % 20 == FAILS for subject in sent)
    assert place.stats().dead == 0
    assert worker.engines() == engines, "an engine was lost"
    assert max(growths) <= (GROWTH_KIB if scale.is_full else WARMING_KIB)
    if scale.is_full:  # in seconds, each other process of the machine is a drift
        assert late <= DRIFT * early + DRIFT_S
    assert worker.terminate() == 0, worker.log


TRIED_TWICE, FAILS = 1, 2
"""Of each 20 tasks, see ``mixed`` in ``apps/trouble.py``."""


def tries(subject: int) -> list[str]:
    """Return the runs that a task consists of, as the ledger names them."""
    return [f"{subject}.{retries}" for retries in range(2 if subject % 20 == TRIED_TWICE else 1)]


def send_backlog(place: FaultPlace, tasks: int) -> range:
    """Send so many tasks of those that a soak is made of; return their subjects."""
    subjects = range(-tasks, 0)
    for subject in subjects:
        place.send_task("mixed", subject, time.time())
    return subjects


def capacity(place: FaultPlace, backlog: range) -> float:
    """Return how many tasks the place's node does in a second when it has enough of them, and nobody sends."""
    place.until_ended({tried for subject in backlog for tried in tries(subject)}, deadline=WAIT)
    return len(backlog) / (place.ledger.lines("end")[-1].moment - place.ledger.lines("begin")[0].moment)


def start_producer(place: FaultPlace, seconds: float, *, pause: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "producer.py", str(seconds), str(pause)]
    return subprocess.Popen(command, cwd=place.directory, env=place.environment)


def watch(
    proxy: Proxy, producer: subprocess.Popen[bytes], worker: WorkerProcess, *, seconds: float, resets: int
) -> tuple[list[tuple[int, int]], list[Cut]]:
    """Reset all connections so many times; return the memory of node and producer in KiB, over time, and the resets."""
    sizes: list[tuple[int, int]] = []
    cuts: list[Cut] = []
    began = time.monotonic()
    while producer.poll() is None:
        now = time.monotonic()
        size = (sum(kib(pid, "VmRSS") for pid in worker.family()), kib(producer.pid, "VmRSS"))
        if size[1]:  # it has ended in between otherwise
            sizes.append(size)
        if now - began > (len(cuts) + 0.5) * seconds / resets:
            proxy.reset()
            cuts.append(Cut(now, time.monotonic() + RECONNECTED))
        time.sleep(min(1.0, seconds / 100))
    assert len(cuts) == resets
    return sizes, cuts


def slices(values: list) -> list[list]:
    """Cut a list into `SLICES` parts of nearly the same length."""
    return [values[len(values) * nth // SLICES : len(values) * (nth + 1) // SLICES] for nth in range(SLICES)]


def growth(sizes: list[int]) -> float:
    """Return by how many KiB the last fifth is above the second one: in the first, all that is made once is made."""
    parts = [statistics.median(part) for part in slices(sizes)]
    return statistics.mean(parts[-2:]) - statistics.mean(parts[2:4])


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
