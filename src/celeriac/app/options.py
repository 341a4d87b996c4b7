"""The options of a task and of a call, typed. Names and meanings are Celery's.

The annotations are values here, not texts: a `TypedDict` compiles each text, which cost 5 ms of the package's import.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from celeriac.types import Seconds


class SendOptions(TypedDict, total=False):
    """What `apply_async`, `send_task` and their relatives take beside the arguments.

    `countdown` seconds from now or `eta` (aware datetime, naive ones are in the app's time zone, or ISO 8601 text) say
    when the task may start; `expires` (seconds from now, datetime or text) says when it no longer may. `queue`, or
    `exchange` and `routing_key`, choose where it goes and win over routes. `priority` is 0 to 9, read as the broker
    reads it. `time_limit` and `soft_time_limit` are seconds of one run. `retry` and `retry_policy` govern the sending,
    not the task: by default a failed send is tried again within ``broker_publish_timeout`` seconds. `link` and
    `link_error` are signatures that follow its end, one or a list of them; `chain` and `chord` are how the parts of a
    workflow travel. `stamped_headers` names options that are stamps.
    """

    task_id: str | None
    countdown: Seconds | None
    eta: datetime | str | None
    expires: Seconds | datetime | timedelta | str | None
    queue: Any
    exchange: Any
    routing_key: str | None
    priority: int | None
    headers: Mapping[str, Any] | None
    serializer: str | None
    compression: str | None
    ignore_result: bool | None
    time_limit: Seconds | None
    soft_time_limit: Seconds | None
    shadow: str | None
    argsrepr: str | None
    kwargsrepr: str | None
    retry: bool | None
    retry_policy: Mapping[str, Any] | None
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    group_index: int | None
    reply_to: str | None
    add_to_parent: bool
    link: Any
    link_error: Any
    chain: Any
    chord: Any
    replaced_task_nesting: int
    stamped_headers: Sequence[str] | None


class RetryOptions(TypedDict, total=False):
    """What `Task.retry` takes beside its own arguments; what is left out stays as it was."""

    queue: Any
    exchange: Any
    routing_key: str | None
    priority: int | None
    serializer: str | None
    compression: str | None
    expires: Seconds | datetime | timedelta | str | None
    time_limit: Seconds | None
    soft_time_limit: Seconds | None
    ignore_result: bool | None
    headers: Mapping[str, Any] | None
    shadow: str | None


SEND_OPTIONS: Final = frozenset(SendOptions.__annotations__)

CELERY_ONLY: Final = frozenset(
    {
        "confirm_timeout",
        "connection",
        "declare",
        "delivery_mode",
        "event_dispatcher",
        "exchange_type",
        "expiration",
        "immediate",
        "mandatory",
        "producer",
        "publisher",
        "result_cls",
        "router",
        "task_type",
        "timeout",
    }
)
"""Options of Celery's publisher that have no meaning for these stores: accepted, and without effect."""


class TaskOptions(TypedDict, total=False):
    """What ``@app.task(...)`` takes beside `name`, `bind` and `base`; see the attributes of `Task` for meanings."""

    max_retries: int | None
    default_retry_delay: Seconds
    autoretry_for: Sequence[type[BaseException]]
    dont_autoretry_for: Sequence[type[BaseException]]
    retry_kwargs: Mapping[str, Any]
    retry_backoff: bool | float
    retry_backoff_max: Seconds
    retry_jitter: bool
    throws: Sequence[type[BaseException]]
    acks_late: bool | None
    acks_on_failure_or_timeout: bool | None
    reject_on_worker_lost: bool | None
    ignore_result: bool | None
    store_errors_even_if_ignored: bool | None
    store_eager_result: bool | None
    track_started: bool | None
    serializer: str | None
    compression: str | None
    priority: int | None
    expires: Seconds | datetime | timedelta | None
    time_limit: Seconds | None
    soft_time_limit: Seconds | None
    queue: Any
    exchange: Any
    routing_key: str | None
    rate_limit: str | float | None
    send_events: bool
    trail: bool
    typing: bool | None
    resultrepr_maxsize: int
