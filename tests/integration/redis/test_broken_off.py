"""Calls that an exception from a signal's handler breaks off: Ctrl-C, soft time limits. In processes of their own, for
what is broken off while it connects leaves its socket to the collector, and what goes wrong ends a process.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers.redis import RedisServer

SPAN = 3.0
"""Seconds for which calls are broken off; where that did harm, it took a tenth."""
DEADLINE = 18.0

WAITS = """
import random, signal, sys, threading, time
from celeriac.drivers import load
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import StoreOptions
from celeriac.result.waiting import wait_for

class Broken(Exception): pass

results = load(sys.argv[1], StoreOptions(transport_options={"global_keyprefix": sys.argv[2]})).results
stopped, heard, is_inside = threading.Event(), set(), False

def store(task_id):
    results.store([ResultRecord(task_id, "SUCCESS", b'{"status": "SUCCESS"}', 60.0)])

def hear_and_tell(which):
    number = 0
    while not stopped.is_set():
        number += 1
        timer = threading.Timer(0.001, store, [f"{which}-{number}"])
        timer.start()
        if wait_for(results, [f"{which}-{number}"], timeout=5):
            heard.add(which)
        timer.join()

def strike(*about):
    if is_inside:
        raise Broken

signal.signal(signal.SIGALRM, strike)
results.connect()
threads = [threading.Thread(target=hear_and_tell, args=(which,), daemon=True) for which in range(3)]
for thread in threads:
    thread.start()
ends, number = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < ends:
    number += 1
    try:
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-3))
        wait_for(results, [f"never-{number}"], timeout=0.002)
        is_inside = False
    except Broken:
        is_inside = False
signal.setitimer(signal.ITIMER_REAL, 0)
stopped.set()
for thread in threads:
    thread.join(6)
store("last")
alive = sum(thread.is_alive() for thread in threads)
print(sorted(heard), alive, sorted(wait_for(results, ["last"], timeout=5)), flush=True)
"""

PACKS = """
import random, signal, sys, time
from celeriac.drivers.redis.packing import pack

class Broken(Exception): pass

def strike(*about):
    raise Broken

signal.signal(signal.SIGALRM, strike)
command = ("EVALSHA", "sha", *[float(sys.argv[1]) if "." in sys.argv[1] else int(sys.argv[1])] * 20)
ends = time.monotonic() + float(sys.argv[2])
while time.monotonic() < ends:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 5e-5))
        while True:
            pack(command)
    except Broken:
        pass
print("unharmed", flush=True)
"""


def run(program: str, *arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        return -1, "stands still"
    return told.returncode, told.stdout


def test_a_wait_that_is_broken_off_keeps_no_other_from_hearing(redis_server: RedisServer, prefix: str) -> None:
    assert run(WAITS, redis_server.url, prefix, SPAN) == (0, "[0, 1, 2] 0 ['last']\n")


@pytest.mark.parametrize("number", [3, 1.5])
def test_a_signal_while_a_number_is_packed_does_no_harm(number: float) -> None:
    assert run(PACKS, number, SPAN) == (0, "unharmed\n")
