"""Signals call whoever is connected, and nobody's error is the sender's."""

from __future__ import annotations

import gc
import threading

import pytest

from celeriac import signals
from celeriac.signals import SIGNALS, Signal


@pytest.fixture
def signal():
    return Signal("test", ("value",))


def test_a_receiver_gets_sender_signal_and_fields(signal):
    seen = []

    def receiver(**fields):
        seen.append(fields)
        return "answer"

    assert signal.connect(receiver) is receiver
    assert signal.send("me", value=1) == [(receiver, "answer")]
    assert seen == [{"sender": "me", "signal": signal, "value": 1}]


def test_connect_is_a_decorator_with_and_without_arguments(signal):
    @signal.connect
    def first(**_): ...

    @signal.connect(sender="only", weak=False)
    def second(**_): ...

    assert [receiver for receiver, _ in signal.send("only")] == [first, second]
    assert [receiver for receiver, _ in signal.send("other")] == [first]


def test_a_sender_may_be_any_object_and_text_is_compared_by_value(signal):
    sender = [1]
    signal.connect(receiver := lambda **_: None, sender=sender)
    assert signal.has_listeners(sender)
    assert not signal.has_listeners([1])
    signal.disconnect(receiver, sender=sender)
    signal.connect(receiver, sender=str(b"task.name", "ascii"))
    assert signal.has_listeners("task.name")


def test_an_error_is_logged_and_returned_and_the_others_are_called(signal, caplog):
    error = ValueError("mine")

    def erring(**_):
        raise error

    def fine(**_):
        return 1

    signal.connect(erring)
    signal.connect(fine)
    assert signal.send_robust(None) == [(erring, error), (fine, 1)]
    assert "erring" in caplog.text
    assert "ValueError: mine" in caplog.text


def test_a_receiver_is_forgotten_with_its_last_reference(signal):
    def receiver(**_): ...

    signal.connect(receiver)
    assert signal.receivers
    del receiver
    gc.collect()
    assert not signal.receivers
    assert signal.send(None) == []


def test_a_bound_method_lives_as_long_as_its_object(signal):
    class Listener:
        def hear(self, **_):
            return "heard"

    listener = Listener()
    signal.connect(listener.hear)
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["heard"]
    del listener
    gc.collect()
    assert not signal.has_listeners()


def test_a_receiver_that_is_not_weak_stays(signal):
    signal.connect(lambda **_: "here", weak=False)
    gc.collect()
    assert [answer for _, answer in signal.send(None)] == ["here"]


def test_a_receiver_is_connected_once_and_disconnected_once(signal):
    def receiver(**_): ...

    signal.connect(receiver)
    signal.connect(receiver)
    assert len(signal.send(None)) == 1
    assert signal.disconnect(receiver)
    assert not signal.disconnect(receiver)
    assert not signal.receivers


def test_one_uid_is_one_connection(signal):
    def first(**_): ...

    def second(**_): ...

    signal.connect(first, dispatch_uid="mine")
    signal.connect(second, dispatch_uid="mine")
    assert [receiver for receiver, _ in signal.send(None)] == [first]
    assert signal.disconnect(dispatch_uid="mine")


@pytest.mark.parametrize(("receiver", "error"), [(lambda sender: None, ValueError), ("text", TypeError)])
def test_what_cannot_be_called_with_keywords_is_refused(signal, receiver, error):
    with pytest.raises(error, match="signal test"):
        signal.connect(receiver)


def test_a_retried_receiver_is_called_again_until_it_succeeds():
    pauses = []
    signal = Signal("test", sleep=pauses.append)
    left = [ValueError(), ValueError()]

    def erring(**_):
        if left:
            raise left.pop()
        return "at last"

    signal.connect(erring, retry=True)
    assert signal.send(None) == [(erring, "at last")]
    assert len(pauses) == 2


def test_a_retried_receiver_is_given_up_in_the_end():
    signal = Signal("test", sleep=lambda _: None)
    error = ValueError()

    def erring(**_):
        raise error

    signal.connect(erring, retry=True)
    assert signal.send(None) == [(erring, error)]


def test_receivers_may_come_and_go_while_the_signal_is_sent(signal):
    stop = threading.Event()
    failures = []

    def churn():
        while not stop.is_set():
            signal.connect(receiver := lambda **_: 1)
            if not signal.disconnect(receiver):
                failures.append("lost")

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2000):
        failures.extend(answer for _, answer in signal.send(None) if answer != 1)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert not signal.receivers


def test_the_table_names_every_signal_and_says_when_it_is_sent():
    declared = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}
    assert declared == SIGNALS
    assert all(known.when.endswith(".") for known in SIGNALS.values())
    assert not any(known.receivers for known in SIGNALS.values())
