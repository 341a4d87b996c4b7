"""Copies that the server does not take: what they are of stays."""

from __future__ import annotations

import pytest

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.testing.conformance.samples import drain, leases, names, receive, send
from celeriac.wire.message import Message

FULL = '[{<<"max-length">>, 1}, {<<"overflow">>, <<"reject-publish">>}]'


@pytest.fixture(params=["classic", "quorum"])
def store(request, open_store, url):
    return open_store(url, transport_options={"dead_letter_queue_type": request.param})


def test_a_dead_letter_whose_queue_was_deleted_is_kept_in_a_new_one(store, node, url):
    reject(store, 1)
    delete(node, url, "celeriac.dead.work")
    reject(store, 2)
    assert len(store.dead_letters.page("work", limit=10)) == 1


def test_what_the_queue_of_dead_letters_refuses_is_held_still(store, node, url):
    limit(node, url, "^celeriac.dead.work$")
    with pytest.raises(BrokerError, match=r"'celeriac\.dead\.work' did not take a message"):  # noqa: PT012  soon
        for number in range(1, 9):
            send(store.broker, number)
            held = receive(store.broker)
            store.broker.reject(leases(held), reason="odd")
    assert not store.broker.extend(leases(held), lease=60.0)
    assert not store.broker.requeue(leases(held))
    assert names(receive(store.broker)) == names(held)


def test_a_dead_letter_that_its_full_queue_refuses_stays_one(store, node, url):
    reject(store, 1)
    limit(node, url, "^work$")
    for number in range(2, 9):
        try:
            send(store.broker, number)
        except BrokerError:
            break
    (letter,) = store.dead_letters.page("work", limit=10)
    with pytest.raises(BrokerError, match="'work'"):
        store.dead_letters.requeue([letter.id])
    assert [each.id for each in store.dead_letters.page("work", limit=10)] == [letter.id]
    drain(store.broker)
    assert not store.dead_letters.requeue([letter.id])
    assert drain(store.broker) == [1]


def reject(store, number):
    send(store.broker, number)
    assert not store.broker.reject(leases(receive(store.broker)), reason="odd")


def limit(node, url, pattern):
    """Have queues hold one message, about, and refuse others."""
    name = url.rpartition("/")[2]
    node.call("rabbit_policy", "set", f'<<"{name}">>, <<"full">>, <<"{pattern}">>, {FULL}, 0, <<"all">>, <<"tests">>')


def delete(node, url, queue):
    resource = f'{{resource, <<"{url.rpartition("/")[2]}">>, queue, <<"{queue}">>}}'
    found = f"element(2, rpc:call('{node.name}', rabbit_amqqueue, lookup, [{resource}]))"
    node.call("rabbit_amqqueue", "delete", f'{found}, false, false, <<"tests">>')


def test_a_message_whose_headers_fill_a_frame_becomes_a_dead_letter_without_them(store):
    headers = {"task": "shop.buy", "id": "1", "large": "x" * 130_860}
    store.broker.send([Outgoing(Route("work"), Message(headers, b"[[], {}, {}]"))])
    assert not store.broker.reject(leases(receive(store.broker)), reason="odd")
    (letter,) = store.dead_letters.page("work", limit=10)
    assert letter.reason == "odd"
    assert letter.message.headers == {"task": "shop.buy", "id": "1"}
    assert letter.message.body == b"[[], {}, {}]"
