"""What is shown of a dead letter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from celeriac.app.base import Celeriac
from celeriac.app.dead_letters import task_of
from celeriac.exceptions import CeleriacError
from celeriac.interfaces.dead_letters import DeadLetter
from celeriac.wire import tasks as wire
from celeriac.wire.content import accepted
from celeriac.wire.message import Message
from celeriac.wire.results import TaskResult

_SHOWN: Final = ("args", "kwargs", "callbacks", "errbacks", "chain", "chord")


def summary(letter: DeadLetter) -> dict[str, Any]:
    """Return what a list has of a letter."""
    name, task_id = task_of(letter)
    return {
        "id": letter.id,
        "queue": letter.queue,
        "task": name,
        "task_id": task_id,
        "died": moment(letter),
        "reason": letter.reason,
        "redelivered": letter.redelivered,
    }


def content(app: Celeriac, letter: DeadLetter) -> dict[str, Any]:
    """Return what the message holds: headers and, as far as its content type is accepted here, the arguments.

    Otherwise ``body`` has the bytes, and ``unreadable`` the reason.
    """
    message = letter.message
    if not isinstance(message, Message):
        return {"body": message.raw, "unreadable": message.reason}
    found: dict[str, Any] = {"headers": message.headers, "content_type": message.content_type}
    accept, most = accepted(app.conf.accept_content), app.conf.task_message_max_bytes
    try:
        call = wire.decode(message, accept=accept, max_body=most)
    except CeleriacError as error:
        return found | {"body": message.body, "unreadable": str(error)}
    parts = {name: getattr(call, name) for name in _SHOWN}
    return found | {name: part for name, part in parts.items() if part is not None}


def result_of(app: Celeriac, letter: DeadLetter) -> TaskResult | None:
    """Return what is stored as the task's result; None when there is none, or it cannot be read."""
    task_id = task_of(letter)[1]
    if task_id is None or app.results is None:
        return None
    try:
        return app.reader.read(task_id)
    except CeleriacError:
        return None


def moment(letter: DeadLetter) -> datetime:
    """Return when the message died."""
    return datetime.fromtimestamp(round(letter.died, 3), UTC)
