"""Half of what a node can do, for ten minutes, with failures, retries and resets: latency and memory do not drift."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.faults.trouble import FaultPlace
from tests.servers.redis import RedisServer

SECONDS = float(os.environ.get("FAULTS_SOAK_SECONDS", "600"))
PAUSE = 0.005
"""Seconds between two sends: tasks of 3 ms on two engines that share two cores with the producer."""
RESETS = 20
GROWTH_KIB = 8 * 1024
"""What the second half may need more than the first, of either side."""
DRIFT = 2.0
"""How many times the first half's p99 the second half's may be, with 50 ms for the machine's other work."""
WAIT = 60.0


@pytest.mark.full
@pytest.mark.timeout(900)
def test_latency_and_memory_do_not_drift(make_place, server: RedisServer, figures) -> None:
    with Proxy(server.port) as proxy:
        place: FaultPlace = make_place(proxy.url, visibility_timeout=6.0)
        worker = place.node()
        producer = subprocess.Popen(
            [sys.executable, "producer.py", str(SECONDS), str(PAUSE)],
            cwd=place.directory,
            env=place.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        sizes = watch(proxy, producer, worker.family())
        sent, refused = map(int, producer.communicate(timeout=WAIT)[0].split())
        place.until_idle(deadline=WAIT)
        latencies = [float(text) for text in place.ledger.subjects("latency")]
        first, second = halves(latencies)
        nodes, clients = (halves([size[side] for size in sizes]) for side in (0, 1))
        done = len(set(place.ledger.subjects("end")))
        figures(
            tasks=sent,
            kills=RESETS,
            lost=max(0, sent - refused - done),
            duplicated=len(place.ledger.repeated("end")),
            refused=refused,
            p99_first_half_s=p99(first),
            p99_second_half_s=p99(second),
            node_kib=f"{max(nodes[0])} -> {max(nodes[1])}",
            producer_kib=f"{max(clients[0])} -> {max(clients[1])}",
        )
        assert done >= sent - refused
        assert p99(second) <= DRIFT * p99(first) + 0.05
        assert max(nodes[1]) <= max(nodes[0]) + GROWTH_KIB
        assert max(clients[1]) <= max(clients[0]) + GROWTH_KIB
        assert worker.terminate() == 0, worker.log


def watch(proxy: Proxy, producer: subprocess.Popen, node: list[int]) -> list[tuple[int, int]]:
    """Reset the connections now and then; return the memory of node and producer in KiB, over time."""
    sizes = []
    began = time.monotonic()
    resets = 0
    while producer.poll() is None:
        sizes.append((rss(node), rss([producer.pid])))
        if time.monotonic() - began > (resets + 0.5) * SECONDS / RESETS:
            resets += 1
            proxy.reset()
        time.sleep(SECONDS / 600)
    return [size for size in sizes if all(size)]


def rss(pids: list[int]) -> int:
    """Return the memory of the processes in KiB; 0 where one has ended."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        found = [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
        if not found:
            return 0
        total += found[0]
    return total


def halves(values: list) -> tuple[list, list]:
    return values[: len(values) // 2], values[len(values) // 2 :]


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
