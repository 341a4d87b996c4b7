"""Soft limits in threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from celeriac.exceptions import SoftTimeLimitExceeded, Terminated
from celeriac.worker.limits import AlarmLimits, ThreadLimits
from tests.unit.threads import no_new_threads

DEADLINE = 10.0


@pytest.fixture(autouse=True)
def alarm_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


def until_struck() -> None:
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        time.sleep(0)
    raise AssertionError("the limit was never raised")


def in_a_thread(function: Callable[[], None]) -> None:
    """Run in another thread, as tasks do, and raise what it raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def assert_strikes(limits: ThreadLimits) -> None:
    """A task that passes its limit in a thread is told."""

    def task() -> None:
        limits.arm(0.001)
        try:
            until_struck()
        finally:
            limits.disarm()

    with pytest.raises(SoftTimeLimitExceeded, match="longer than its soft time limit"):
        in_a_thread(task)


def test_a_task_that_passes_its_limit_is_told():
    limits = ThreadLimits()

    assert_strikes(limits)


@pytest.mark.parametrize("seconds", [1e10, 1e300])
def test_a_limit_that_no_timer_can_count_strikes_nobody_and_harms_no_other(seconds):
    limits = ThreadLimits()

    def tasks() -> None:
        limits.arm(seconds)
        limits.disarm()
        limits.arm(0.001)
        try:
            until_struck()
        finally:
            limits.disarm()

    with pytest.raises(SoftTimeLimitExceeded):
        in_a_thread(tasks)
    main = AlarmLimits()
    main.arm(seconds)
    main.disarm()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL], ids=["ignored", "deadly"])
def test_a_task_that_took_over_the_alarm_takes_no_limit_from_the_next(handler):
    limits = AlarmLimits()
    signal.signal(signal.SIGALRM, handler)
    limits.arm(0.01)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            until_struck()
    finally:
        limits.disarm()


def test_a_limit_strikes_its_own_task_and_never_the_next():
    limits = ThreadLimits()
    struck = 0

    def tasks() -> None:
        nonlocal struck
        for _ in range(300):
            try:
                limits.arm(0.0002)
                try:
                    time.sleep(0)
                finally:
                    limits.disarm()
            except SoftTimeLimitExceeded:
                struck += 1
            for _ in range(200):  # what runs between tasks is never struck
                pass

    in_a_thread(tasks)
    assert 0 <= struck <= 300


def test_a_limit_that_could_not_be_set_for_want_of_a_thread_spoils_no_later_one():
    limits = ThreadLimits()
    with no_new_threads(), pytest.raises(RuntimeError, match="thread"):
        limits.arm(0.001)

    assert_strikes(limits)


def test_a_limit_that_the_interpreter_does_not_deliver_holds_up_no_thread():
    # Where a thread could not start another, Python 3.11 raises in what it left of that one instead, and is the worse
    # for it: in a process of its own.
    program = """
import threading, time
from contextlib import suppress
from celeriac.exceptions import SoftTimeLimitExceeded, Terminated
from celeriac.worker.limits import ThreadLimits
limits = ThreadLimits()
def task():
    threading.stack_size(1 << 46)
    with suppress(RuntimeError):
        threading.Thread(target=print).start()
    threading.stack_size(0)
    with suppress(SoftTimeLimitExceeded):
        limits.arm(0.001)
        try:
            time.sleep(0.1)
        finally:
            limits.disarm()
    print("went on")
thread = threading.Thread(target=task, daemon=True)
thread.start()
thread.join(8)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert told.stdout == "went on\n"


def test_limits_of_tasks_that_have_ended_are_not_kept():
    limits = ThreadLimits()
    for _ in range(5000):
        limits.arm(3600)
        limits.disarm()
    assert len(limits._due) < 2000


@pytest.mark.parametrize("seconds", [60, 0.001])
def test_after_a_limit_functions_can_be_profiled_and_traced(seconds):
    """With an exception on its way that never comes, Python 3.11 does not get into a traced function any more."""
    program = f"""
import sys, time
from celeriac.exceptions import SoftTimeLimitExceeded, Terminated
from celeriac.worker.limits import AlarmLimits, ThreadLimits
from tests.unit.threads import no_new_threads
limits = ThreadLimits()
try:
    limits.arm({seconds})
    try:
        time.sleep(0.02)
    finally:
        limits.disarm()
except SoftTimeLimitExceeded:
    pass
def traced(): print("got in")
sys.settrace(lambda *about: None)
traced()
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert told.stdout == "got in\n"


# -- ending what runs -------------------------------------------------------------------------------------------------


def run(limits: AlarmLimits, seconds: float | None, wait: Callable[[], object]) -> None:
    """Run something as a task with the tag "tag" is run."""
    try:
        limits.arm(seconds, "tag")
        wait()
    finally:
        limits.disarm()


def test_a_task_in_the_main_thread_is_ended_amid_a_wait():
    limits = AlarmLimits()
    other = threading.Timer(0.05, limits.end, ["tag"])
    other.start()
    with pytest.raises(Terminated):
        run(limits, None, lambda: time.sleep(DEADLINE))
    other.join()


def test_a_task_in_a_thread_is_ended():
    limits = ThreadLimits()

    def task() -> None:
        try:
            limits.arm(None, "tag")
            until_struck()
        finally:
            limits.disarm()

    other = threading.Timer(0.05, limits.end, ["tag"])
    other.start()
    with pytest.raises(Terminated):
        in_a_thread(task)
    other.join()


@pytest.mark.parametrize("kind", [AlarmLimits, ThreadLimits])
def test_only_the_task_that_is_meant_is_ended(kind):
    limits = kind()
    limits.end("before")
    limits.arm(None, "before, too")
    limits.end("before")
    limits.disarm()
    limits.end("before, too")
    limits.arm(None, "another")
    limits.end("before, too")
    time.sleep(0.01)
    limits.disarm()


def test_an_ended_task_leaves_no_limit_for_the_next():
    limits = AlarmLimits()
    with pytest.raises(Terminated):
        run(limits, 0.05, lambda: limits.end("tag"))
    limits.arm(None, "next")
    time.sleep(0.1)
    limits.disarm()


def test_an_alarm_of_the_task_s_own_is_no_limit_and_no_end():
    limits = AlarmLimits()
    limits.arm(None, "tag")
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    limits.disarm()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL], ids=["ignored", "deadly"])
def test_a_task_that_took_over_the_alarm_is_left_to_the_supervisor(handler):
    limits = AlarmLimits()
    limits.arm(None, "tag")
    signal.signal(signal.SIGALRM, handler)
    limits.end("tag")
    time.sleep(0.01)
    limits.disarm()


def test_an_end_strikes_its_own_task_and_never_the_next():
    limits = ThreadLimits()
    ended = 0
    stop = threading.Event()

    def end_whatever_runs() -> None:
        number = 0
        while not stop.is_set():
            limits.end(str(number))
            number = (number + 1) % 300

    def tasks() -> None:
        nonlocal ended
        for number in range(300):
            try:
                try:
                    limits.arm(None, str(number))
                    for _ in range(200):
                        pass
                finally:
                    limits.disarm()
            except Terminated:
                ended += 1
            for _ in range(200):  # what runs between tasks is never struck
                pass

    other = threading.Thread(target=end_whatever_runs)
    other.start()
    try:
        in_a_thread(tasks)
    finally:
        stop.set()
        other.join()
    assert 0 <= ended <= 300
