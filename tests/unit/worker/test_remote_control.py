"""The listener to remote control: whom it obeys, whom it answers, and what it does when it cannot hear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.exceptions import BrokerError
from celeriac.interfaces.pubsub import Channel, Post
from celeriac.testing.conformance.samples import eventually
from celeriac.wire import control as wire
from celeriac.wire.control import ReplyTo, Request
from celeriac.wire.message import Message
from celeriac.worker.remote_control import RemoteControl

DEADLINE = 10.0


class Ear:
    """What a listener obeyed, and how often it looked for what it had missed."""

    def __init__(self) -> None:
        self.obeyed: list[Request] = []
        self.looks = 0
        self.looked = threading.Semaphore(0)

    def obey(self, request: Request) -> dict[str, Any] | None:
        self.obeyed.append(request)
        if request.method == "surprise":
            raise ZeroDivisionError
        return None if request.method == "unknown" else {"ok": request.method}

    def refresh(self) -> None:
        self.looks += 1
        self.looked.release()


@pytest.fixture
def listening() -> Iterator[Callable[..., RemoteControl]]:
    """Return what starts a listener, once it has looked for what it missed."""
    started: list[RemoteControl] = []

    def start(pubsub: Any, ear: Ear) -> RemoteControl:
        control = RemoteControl(
            pubsub, nodename="w@h", prefix="celery", obey=ear.obey, refresh=ear.refresh, refresh_every=60.0
        )
        started.append(control)
        control.start()
        assert ear.looked.acquire(timeout=DEADLINE)
        return control

    yield start
    for control in started:
        control.stop()


def say(pubsub: Any, *requests: Request | Message) -> None:
    fanout = Channel("celery.pidbox")
    messages = (one if isinstance(one, Message) else wire.encode(one) for one in requests)
    pubsub.publish([Post(fanout, message) for message in messages])


def test_what_is_for_this_node_is_obeyed_in_order(spine, listening):
    ear, pubsub = Ear(), spine.app.pubsub
    listening(pubsub, ear)
    garbage = Message({}, b"{")
    say(pubsub, Request("a"), garbage, Request("b", destination=["other@h"]), Request("c", destination=["w@h"]))
    eventually(lambda: [request.method for request in ear.obeyed] == ["a", "c"])


def test_who_asks_is_answered_by_nodes_that_know_the_command(spine, listening):
    ear, pubsub = Ear(), spine.app.pubsub
    listening(pubsub, ear)
    with_reply = {"ticket": "t", "reply_to": ReplyTo("reply.celery.pidbox", "me")}
    mine = pubsub.subscribe([Channel("reply.celery.pidbox", "direct", "me")])
    say(pubsub, Request("unknown", **with_reply), Request("quiet"), Request("known", **with_reply))
    (post,) = mine.get(limit=10, wait=DEADLINE)
    assert wire.decode_reply(post.message) == {"w@h": {"ok": "known"}}
    assert post.message.headers["ticket"] == "t"
    mine.close()


class Torn:
    """Broadcast that refuses every other subscription, and whose connection can be torn."""

    wakes_all = False

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.times = 0
        self._torn = threading.Event()
        self._subscription: Any = None

    def subscribe(self, channels: Any, *, patience: float) -> Torn:
        self.times += 1
        if self.times % 2:
            raise BrokerError("away")
        self._torn.clear()
        self._subscription = self.inner.subscribe(channels)
        return self

    def get(self, *, limit: int, wait: float) -> Any:
        posts = self._subscription.get(limit=limit, wait=wait)
        if self._torn.is_set():
            raise BrokerError("torn")
        return posts

    def tear(self) -> None:
        self._torn.set()
        self._subscription.close()

    def close(self) -> None:
        self._subscription.close()


def test_what_was_said_while_it_could_not_hear_is_looked_for_when_it_hears_again(spine, listening, caplog):
    ear, pubsub = Ear(), Torn(spine.app.pubsub)
    listening(pubsub, ear)
    assert "Remote control is not heard" in caplog.text
    pubsub.tear()
    assert ear.looked.acquire(timeout=DEADLINE)
    say(pubsub.inner, Request("a"))
    eventually(lambda: [request.method for request in ear.obeyed] == ["a"])
    assert pubsub.times == 4


def test_a_surprise_ends_nothing(spine, listening, monkeypatch):
    monkeypatch.setattr("celeriac.worker.remote_control._LONGEST_PAUSE", 0.01)
    ear, pubsub = Ear(), spine.app.pubsub
    listening(pubsub, ear)
    say(pubsub, Request("surprise"))
    assert ear.looked.acquire(timeout=DEADLINE)  # it listens again
    say(pubsub, Request("a"))
    eventually(lambda: ear.obeyed[-1].method == "a")


def test_without_broadcast_it_still_looks_for_what_is_written_down(listening):
    ear = Ear()
    control = listening(None, ear)
    assert ear.looks == 1
    control.stop()


def test_on_a_store_that_wakes_everybody_it_looks_now_and_then(spine, listening, monkeypatch):
    monkeypatch.setattr("celeriac.worker.remote_control._LOOK", 0.01)
    ear, pubsub = Ear(), spine.app.pubsub
    monkeypatch.setattr(type(pubsub), "wakes_all", True)
    listening(pubsub, ear)
    say(pubsub, Request("a"), Request("b"))
    eventually(lambda: len(ear.obeyed) == 2)
