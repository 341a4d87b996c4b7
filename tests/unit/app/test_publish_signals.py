"""The signals around publishing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from celeriac.signals import Signal, after_task_publish, before_task_publish


@contextmanager
def heard(signal: Signal, sender: str | None = None) -> Iterator[list[dict[str, Any]]]:
    noted: list[dict[str, Any]] = []

    def note(**fields: Any) -> None:
        noted.append(fields)

    signal.connect(note, sender=sender)
    yield noted
    signal.disconnect(note, sender=sender)


@pytest.mark.parametrize("signal", [before_task_publish, after_task_publish], ids=lambda signal: signal.name)
def test_a_receiver_is_told_what_is_published_and_where(spine, signal):
    with heard(signal) as noted:
        spine.app.send_task("work", [1], {"a": 2}, task_id="x", queue="q", priority=3)
    (fields,) = noted
    assert fields["sender"] == "work"
    assert fields["body"][:2] == ([1], {"a": 2})
    assert (fields["headers"]["task"], fields["headers"]["id"]) == ("work", "x")
    assert (fields["exchange"], fields["routing_key"]) == ("", "q")
    assert fields["properties"]["priority"] == 3


def test_before_publishing_a_receiver_may_add_headers(spine):
    def mark(headers: dict[str, Any], **_fields: Any) -> None:
        headers["traceparent"] = "00-1"

    before_task_publish.connect(mark)
    spine.app.send_task("work")
    before_task_publish.disconnect(mark)
    assert spine.call().headers == {"traceparent": "00-1"}


def test_the_handle_follows_a_receiver_that_changes_the_id(spine):
    def rename(headers: dict[str, Any], **_fields: Any) -> None:
        headers["id"] = "other"

    before_task_publish.connect(rename)
    result = spine.app.send_task("work", task_id="x")
    before_task_publish.disconnect(rename)
    assert result.id == spine.call().id == "other"


def test_before_publishing_nothing_is_sent_and_after_it_everything(spine):
    seen = []
    before = lambda **_fields: seen.append(len(spine.taken()))
    after = lambda **_fields: seen.append(len(spine.taken()))
    before_task_publish.connect(before)
    after_task_publish.connect(after)
    spine.app.send_task("work")
    before_task_publish.disconnect(before)
    after_task_publish.disconnect(after)
    assert seen == [0, 1]


def test_a_receiver_may_listen_to_one_task_alone(spine):
    with heard(before_task_publish, sender="wanted") as noted:
        spine.app.send_task("other")
        spine.app.send_task("wanted")
    assert [fields["sender"] for fields in noted] == ["wanted"]


def test_each_call_of_a_bulk_send_is_told(spine):
    with heard(after_task_publish) as noted:
        spine.app.task(name="work")(lambda x: x).delay_many([(1,), (2,)])
    assert [fields["body"][0] for fields in noted] == [(1,), (2,)]


def test_an_erring_receiver_does_not_keep_a_task_from_being_sent(spine, caplog):
    def err(**_fields: Any) -> None:
        raise ValueError("mine")

    before_task_publish.connect(err)
    spine.app.send_task("work")
    before_task_publish.disconnect(err)
    assert len(spine.taken()) == 1
    assert "mine" in caplog.text
