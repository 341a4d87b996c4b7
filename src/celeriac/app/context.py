"""The request: what a running task knows about its own call.

The running task's `Context` is kept in a context variable, so that threads and coroutines each see their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from celeriac.interfaces.broker import Delivery, Outgoing
from celeriac.types import Args, Kwargs
from celeriac.wire.headers import short_repr
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall

_NO_CALL: Final = TaskCall(name="", id="", args=(), kwargs={})


class Context(Struct, eq=False):
    """Celery's ``self.request``: read-only views on the call that is running, and what the run adds to it.

    Outside a run every attribute has its neutral value and `called_directly` is True. One object belongs to one
    run; it is not shared between threads. `call` is the whole call as it came over the wire, `delivery` what carried
    it, None for a direct or eager call. `calls` is the task whose own ``__call__`` is about to enter this run, None
    once it has. `added` counts the members that the run has added to its chord.
    """

    call: TaskCall = _NO_CALL
    delivery: Delivery | None = None
    hostname: str | None = None
    called_directly: bool = True
    calls: Any = None
    is_eager: bool = False
    children: list[Any] = []
    added: int = 0
    follow_ups: list[Outgoing] = []
    loglevel: int | None = None
    logfile: str | None = None

    @property
    def id(self) -> str | None:
        return self.call.id or None

    @property
    def task(self) -> str | None:
        return self.call.name or None

    @property
    def args(self) -> Args:
        return self.call.args

    @property
    def kwargs(self) -> Kwargs:
        return self.call.kwargs

    @property
    def retries(self) -> int:
        """How often the task was tried before this run."""
        return self.call.retries

    @property
    def eta(self) -> str | None:
        """ISO 8601 text, as in Celery."""
        return _iso(self.call.eta)

    @property
    def expires(self) -> str | None:
        """ISO 8601 text, as in Celery."""
        return _iso(self.call.expires)

    @property
    def root_id(self) -> str | None:
        return self.call.root_id or self.id

    @property
    def parent_id(self) -> str | None:
        return self.call.parent_id

    @property
    def group(self) -> str | None:
        return self.call.group_id

    @property
    def group_index(self) -> int | None:
        return self.call.group_index

    @property
    def chord(self) -> Any:
        return self.call.chord

    @property
    def chain(self) -> Any:
        chain = self.call.chain
        return None if chain is None else list(chain)

    @property
    def callbacks(self) -> Any:
        return self.call.callbacks

    @property
    def errbacks(self) -> Any:
        return self.call.errbacks

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """Hard and soft limit in seconds, in Celery's order."""
        return (self.call.time_limit, self.call.soft_time_limit)

    @property
    def time_limit(self) -> float | None:
        return self.call.time_limit

    @property
    def soft_time_limit(self) -> float | None:
        return self.call.soft_time_limit

    @property
    def ignore_result(self) -> bool:
        return bool(self.call.ignore_result)

    @property
    def shadow(self) -> str | None:
        return self.call.shadow

    @property
    def argsrepr(self) -> str:
        """What the caller says the arguments look like, else how they look."""
        given = self.call.argsrepr
        return short_repr(tuple(self.args)) if given is None else given

    @property
    def kwargsrepr(self) -> str:
        """What the caller says the keyword arguments look like, else how they look."""
        given = self.call.kwargsrepr
        return short_repr(dict(self.kwargs)) if given is None else given

    @property
    def origin(self) -> str | None:
        return self.call.origin

    @property
    def reply_to(self) -> str | None:
        return self.call.reply_to

    @property
    def correlation_id(self) -> str | None:
        return self.id

    @property
    def headers(self) -> Mapping[str, Any]:
        """The caller's own headers."""
        return self.call.headers

    @property
    def stamps(self) -> Mapping[str, Any]:
        return self.call.stamps or {}

    @property
    def stamped_headers(self) -> list[str]:
        return list(self.call.stamped_headers or ())

    @property
    def replaced_task_nesting(self) -> int:
        return self.call.replaced_task_nesting

    @property
    def utc(self) -> bool:
        return True

    @property
    def delivery_info(self) -> dict[str, Any]:
        """Celery's four facts about the delivery: exchange, routing_key, priority, redelivered."""
        delivery = self.delivery
        if delivery is None:
            return {"is_eager": True} if self.is_eager else {}
        return {
            "exchange": "",
            "routing_key": delivery.lease.queue,
            "priority": delivery.priority,
            "redelivered": delivery.redelivered,
        }

    @property
    def properties(self) -> dict[str, Any]:
        """The message's properties as far as they are known: content type and encoding, ids, priority."""
        delivery = self.delivery
        known: dict[str, Any] = {"correlation_id": self.id, "reply_to": self.reply_to}
        if delivery is not None and isinstance(delivery.message, Message):
            known["content_type"] = delivery.message.content_type
            known["content_encoding"] = delivery.message.content_encoding
            known["priority"] = delivery.priority
        return known

    def get(self, name: str, default: Any = None) -> Any:
        """Return the attribute `name`, or one of the caller's headers of that name, or `default`."""
        if name in _READABLE:
            return getattr(self, name)
        return self.call.headers.get(name, default)

    def __getattr__(self, name: str) -> Any:
        # Reached only by names that are no attribute: Celery has the caller's own headers here too.
        if not name.startswith("_") and name in self.call.headers:
            return self.call.headers[name]
        raise AttributeError(f"The request has no attribute {name!r}, and the caller sent no header of that name.")

    def __repr__(self) -> str:
        return f"<Context: {self.task}[{self.id}] retries={self.retries}>"


_READABLE: Final = frozenset(name for name in dir(Context) if not name.startswith("_") and name != "get")

NO_REQUEST: Final = Context()

running: Final[ContextVar[Context]] = ContextVar("celeriac_request", default=NO_REQUEST)
"""The request of the task that runs here; `worker.run` sets it around each run."""


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
