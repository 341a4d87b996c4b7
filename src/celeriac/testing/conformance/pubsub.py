"""The suite of the pub/sub contract: who hears what, once, and only while listening."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

import pytest

from celeriac.interfaces.pubsub import Channel, Post, PubSub, Subscription
from celeriac.interfaces.store import Store
from celeriac.testing.conformance.samples import DEADLINE, in_thread, message
from celeriac.wire.message import Message

LONG = 60.0

HEARD = 5.0
"""Real seconds within which a post must arrive."""

SILENCE = 0.3
"""Real seconds after which nothing more is expected."""

Subscribe = Callable[..., Subscription]


@pytest.fixture
def speaker(reopen: Callable[[], Store]) -> PubSub:
    """Another client, which publishes."""
    pubsub = reopen().pubsub
    assert pubsub is not None
    return pubsub


@pytest.fixture
def subscribe(pubsub: PubSub) -> Iterator[Subscribe]:
    """Subscribe to channels, and stop listening after the test."""
    with ExitStack() as stack:
        yield lambda *channels: stack.enter_context(closing(pubsub.subscribe(channels)))


def post(name: int | str, exchange: str = "events", kind: str = "fanout", routing_key: str = "") -> Post:
    """Make a post that `heard` recognises."""
    return Post(channel=Channel(exchange, kind, routing_key), message=message(name))  # type: ignore[arg-type]  # kinds are spelled out in the tests


def topic(pattern: str, exchange: str = "events") -> Channel:
    return Channel(exchange, "topic", pattern)


def heard(subscription: Subscription, count: int) -> list[object]:
    """Return the names of the next `count` posts, and of what comes in the silence after them."""
    posts: list[Post] = []
    while len(posts) < count and (more := subscription.get(limit=100, wait=HEARD)):
        posts += more
    posts += subscription.get(limit=100, wait=SILENCE)
    return [_name(post) for post in posts]


def _name(post: Post) -> object:
    assert isinstance(post.message, Message), post.message
    return post.message.headers["n"]


def test_a_fanout_reaches_every_subscriber_once(subscribe: Subscribe, speaker: PubSub) -> None:
    first, second = subscribe(Channel("events")), subscribe(Channel("events"))
    speaker.publish([post(1), post(2)])
    assert heard(first, 2) == [1, 2]
    assert heard(second, 2) == [1, 2]


def test_a_client_hears_itself(subscribe: Subscribe, pubsub: PubSub) -> None:
    ear = subscribe(Channel("events"))
    pubsub.publish([post(1)])
    assert heard(ear, 1) == [1]


def test_what_was_said_before_is_not_heard(subscribe: Subscribe, speaker: PubSub) -> None:
    speaker.publish([post("before")])
    ear = subscribe(Channel("events"))
    speaker.publish([post("after")])
    assert heard(ear, 1) == ["after"]


def test_publishing_to_nobody_is_no_error(speaker: PubSub) -> None:
    speaker.publish([post(1)])
    speaker.publish([])


def test_exchanges_are_apart(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(Channel("events"))
    speaker.publish([post("other", "others"), post("mine")])
    assert heard(ear, 1) == ["mine"]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("task.failed", ["task.failed"]),
        ("task.*", ["task.failed", "task.sent", "task.*"]),
        ("task.#", ["task", "task.failed", "task.sent", "task.sent.late", "task.*"]),
        ("#", ["task", "task.failed", "task.sent", "task.sent.late", "worker.failed", "taskxsent", "task.*"]),
        ("*.failed", ["task.failed", "worker.failed"]),
        ("#.late", ["task.sent.late"]),
        ("*", ["task", "taskxsent"]),
        ("task.*.late", ["task.sent.late"]),
    ],
)
def test_a_topic_reaches_those_whose_pattern_matches(
    subscribe: Subscribe, speaker: PubSub, pattern: str, keys: Sequence[str]
) -> None:
    ear = subscribe(topic(pattern))
    said = ["task", "task.failed", "task.sent", "task.sent.late", "worker.failed", "taskxsent", "task.*"]
    speaker.publish([post(key, kind="topic", routing_key=key) for key in said])
    assert heard(ear, len(keys)) == list(keys)


def test_a_direct_post_reaches_those_with_its_key(subscribe: Subscribe, speaker: PubSub) -> None:
    mine, other = subscribe(Channel("reply", "direct", "me")), subscribe(Channel("reply", "direct", "you"))
    speaker.publish([post("hello", "reply", "direct", "me")])
    assert heard(mine, 1) == ["hello"]
    assert list(other.get(limit=10, wait=0.0)) == []


def test_a_post_matching_two_patterns_of_one_subscriber_is_heard_once(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(topic("task.*"), topic("#.failed"))
    speaker.publish([post(1, kind="topic", routing_key="task.failed")])
    assert heard(ear, 1) == [1]


def test_one_ear_may_listen_to_several_channels(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(Channel("pidbox"), Channel("reply", "direct", "me"), topic("task.#"))
    speaker.publish(
        [
            post("fanout", "pidbox"),
            post("direct", "reply", "direct", "me"),
            post("topic", kind="topic", routing_key="task.sent"),
            post("deaf", "reply", "direct", "you"),
        ]
    )
    assert sorted(map(str, heard(ear, 3))) == ["direct", "fanout", "topic"]


def test_a_post_names_the_channel_it_came_on(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(topic("task.*"))
    sent = Message(headers={"h": 1}, body=b'{"a": 1}', correlation_id="c", reply_to="r")
    speaker.publish([Post(channel=topic("task.sent"), message=sent)])
    (received,) = ear.get(limit=1, wait=HEARD)
    assert received.channel == topic("task.sent")
    assert received.message == sent


def test_no_more_than_the_limit_is_returned_and_the_rest_waits(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(Channel("events"))
    speaker.publish([post(n) for n in range(5)])
    first = ear.get(limit=2, wait=HEARD)
    assert len(first) in (1, 2)
    assert [*map(_name, first), *heard(ear, 5 - len(first))] == [0, 1, 2, 3, 4]


def test_listening_ends_empty_when_its_time_is_over(subscribe: Subscribe) -> None:
    assert list(subscribe(Channel("events")).get(limit=1, wait=0.05)) == []


def test_a_listener_is_woken_by_a_post(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(Channel("events"))
    with in_thread(lambda: ear.get(limit=1, wait=LONG)) as posts:
        speaker.publish([post(1)])
        assert list(map(_name, posts.result(DEADLINE))) == [1]


def test_closing_ends_a_get_that_waits(subscribe: Subscribe) -> None:
    ear = subscribe(Channel("events"))
    with in_thread(lambda: ear.get(limit=1, wait=LONG)) as posts:
        ear.close()
        assert list(posts.result(DEADLINE)) == []
    ear.close()


def test_closing_the_client_closes_its_subscriptions(reopen: Callable[[], Store]) -> None:
    pubsub = reopen().pubsub
    assert pubsub is not None
    ear = pubsub.subscribe([Channel("events")])
    with in_thread(lambda: ear.get(limit=1, wait=LONG)) as posts:
        pubsub.close()
        pubsub.close()
        assert list(posts.result(DEADLINE)) == []


def test_large_and_many_posts_arrive(subscribe: Subscribe, speaker: PubSub) -> None:
    ear = subscribe(Channel("events"))
    large = Message(headers={"n": "large"}, body=b"x" * 300_000)
    speaker.publish([Post(channel=Channel("events"), message=large), *(post(n) for n in range(300))])
    assert heard(ear, 301) == ["large", *range(300)]
