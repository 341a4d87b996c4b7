"""Kombu's channels and reply lists."""

from __future__ import annotations

import pytest
from redis import Redis

from celeriac.interfaces.pubsub import Channel, Post, PubSub, Subscription
from celeriac.interfaces.store import Store
from tests.integration.redis.samples import DEADLINE, message, stock_envelope

REPLIES = Channel("reply.celery.pidbox", "direct", "oid-1")


@pytest.fixture
def pubsub(store: Store) -> PubSub:
    assert store.pubsub is not None
    return store.pubsub


def test_a_broadcast_goes_out_on_kombus_channel(pubsub: PubSub, outside: Redis, prefix: str) -> None:
    ear = outside.pubsub()
    ear.psubscribe(f"{prefix}/0.celery.pidbox", f"{prefix}/0.celeryev/*")
    for _ in range(2):
        ear.get_message(timeout=DEADLINE)
    pubsub.publish(
        [Post(Channel("celery.pidbox"), message()), Post(Channel("celeryev", "topic", "task.sent"), message())]
    )
    heard = [ear.get_message(timeout=DEADLINE)["channel"].decode() for _ in range(2)]
    ear.close()
    assert heard == [f"{prefix}/0.celery.pidbox", f"{prefix}/0.celeryev/task.sent"]


def test_a_stock_broadcast_is_heard(pubsub: PubSub, outside: Redis, prefix: str) -> None:
    subscription = pubsub.subscribe([Channel("celery.pidbox")])
    outside.publish(f"{prefix}/0.celery.pidbox", stock_envelope(7))
    (post,) = subscription.get(limit=10, wait=DEADLINE)
    assert post.message.headers["id"] == "7"  # type: ignore[union-attr]


def test_a_stock_reply_finds_the_list_by_its_binding(pubsub: PubSub, outside: Redis, prefix: str) -> None:
    subscription = pubsub.subscribe([REPLIES])
    table = f"{prefix}_kombu.binding.reply.celery.pidbox"
    (entry,) = outside.smembers(table)
    routing_key, _, queue = entry.decode().split("\x06\x16")
    assert (routing_key, queue) == ("oid-1", "oid-1.reply.celery.pidbox")
    outside.lpush(prefix + queue, stock_envelope(1), stock_envelope(2))
    posts = hear(subscription, 2)
    assert [post.message.headers["id"] for post in posts] == ["1", "2"]  # type: ignore[union-attr]
    subscription.close()
    assert not outside.exists(table, prefix + queue)


def test_replies_that_nobody_fetches_end_by_themselves(pubsub: PubSub, outside: Redis, prefix: str) -> None:
    pubsub.publish([Post(REPLIES, message())])
    assert 0 < outside.ttl(f"{prefix}oid-1.reply.celery.pidbox") <= 60


def test_patterns_that_overlap_give_a_post_once(pubsub: PubSub) -> None:
    subscription = pubsub.subscribe([Channel("celeryev", "topic", key) for key in ("task.*", "task.#", "#")])
    pubsub.publish(
        [Post(Channel("celeryev", "topic", key), message(key)) for key in ("task.sent", "task", "worker.up")]
    )
    heard = hear(subscription, 3)
    heard += subscription.get(limit=10, wait=0.05)
    assert [post.channel.routing_key for post in heard] == ["task.sent", "task", "worker.up"]


def hear(subscription: Subscription, count: int) -> list[Post]:
    """Return the next posts, as many as `count`."""
    heard: list[Post] = []
    while len(heard) < count:
        posts = subscription.get(limit=10, wait=DEADLINE)
        assert posts
        heard += posts
    return heard
