"""Settings of tasks: how they are written, routed, run and acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, Literal, Protocol, runtime_checkable

from celeriac.settings.table import setting


@runtime_checkable
class TaskRouter(Protocol):
    """An object that says where tasks go, Celery's older kind of a router."""

    route_for_task: Callable[..., Any]


class GeneralSettings:
    """The application as a whole."""

    accept_content: tuple[str, ...] = setting(
        ("json",), "Content types that are read, by name or MIME type; everything else becomes a dead letter."
    )
    enable_utc: bool = setting(True, "Moments in messages are UTC; False writes them in `timezone`.")
    timezone: str | tzinfo | None = setting(None, "Time zone of schedules and of times without one; None is UTC.")
    imports: tuple[str, ...] = setting((), "Modules that a worker imports at start.")
    include: tuple[str, ...] = setting((), "More modules that a worker imports at start.")
    deprecated_settings: Any = setting(None, "Set by Celery itself; kept so that a copied configuration loads.")


class TaskSettings:
    """Tasks: their messages, their ends, their limits."""

    task_serializer: str = setting("json", "How arguments are written.")
    task_compression: str | None = setting(None, "How message bodies are compressed: gzip, bzip2, lzma, brotli, zstd.")
    task_protocol: Literal[1, 2] = setting(2, "Version of Celery's message format that is written; all are read.")
    task_message_full: bool = setting(
        False, "Write every header that Celery writes, for readers that want more than the needed ones."
    )
    task_message_max_bytes: int | None = setting(
        64 * 1024 * 1024,
        "Messages larger than this are refused by the sender and by the worker; None for no limit.",
        unit="bytes",
    )
    task_acks_late: bool = setting(
        True, "Acknowledge after the task has run, so that a crash repeats it. False loses what runs in a crash."
    )
    task_acks_on_failure: bool | None = setting(
        None, "Acknowledge a task that failed. None means `task_acks_on_failure_or_timeout`."
    )
    task_acks_on_timeout: bool | None = setting(
        None, "Acknowledge a task that passed its time limit. None means `task_acks_on_failure_or_timeout`."
    )
    task_acks_on_failure_or_timeout: bool = setting(
        True,
        "The older form of the two above. False makes the message of a task that failed a dead letter, and gives it"
        " back after a timeout.",
    )
    task_reject_on_worker_lost: bool | None = setting(
        None,
        "What becomes of a task whose process died: False completes it as failed, otherwise it runs again, "
        "at most `task_max_crashes` times.",
    )
    task_retry_on_worker_lost: bool = setting(False, "Count the death of the process as a retry of the task.")
    task_max_crashes: int = setting(
        3,
        "After so many deaths of the process that ran it, a task is a dead letter. Retries are not counted.",
        unit="deaths",
        least=1,
    )
    task_revoke_expires: float = setting(
        10_800.0,
        "How long it is remembered that a task was revoked: longer than the longest delay of a task.",
        unit="seconds",
    )
    task_unknown_policy: Literal["reject", "wait"] = setting(
        "reject", "A task that the worker does not know: make it a dead letter, or leave it for a worker that does."
    )
    task_always_eager: bool = setting(False, "Run tasks in the caller instead of sending them.")
    task_eager_propagates: bool = setting(False, "Errors of eager tasks are raised in the caller.")
    task_store_eager_result: bool = setting(False, "Store the results of eager tasks, too.")
    task_ignore_result: bool = setting(False, "Do not store results, unless the task or the call says so.")
    task_store_errors_even_if_ignored: bool = setting(False, "Store failures also where results are ignored.")
    task_track_started: bool = setting(False, "Store the state STARTED when a task begins.")
    task_time_limit: float | None = setting(
        None, "A task that runs longer is ended, and its process replaced.", unit="seconds"
    )
    task_soft_time_limit: float | None = setting(
        None, "A task that runs longer gets `SoftTimeLimitExceeded`.", unit="seconds"
    )
    task_default_rate_limit: str | float | None = setting(
        None, "How often a task may start, per worker: `10/s`, `100/m`, `5/h`, or a number a second."
    )
    task_annotations: Any = setting(
        None, "Attributes to set on tasks: a mapping of task name (or `*`) to attributes, or a list of such."
    )
    task_publish_retry: bool = setting(True, "Try again when a message could not be sent.")
    task_publish_retry_policy: dict[str, Any] = setting(
        {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2},
        "How often and after which pauses sending is tried again, always within `broker_publish_timeout`.",
    )
    task_send_sent_event: bool = setting(False, "Publish a `task-sent` event for each task sent.")
    task_inherit_parent_priority: bool = setting(False, "A task sent by a task takes over its priority.")
    task_repr_maxlevels: int = setting(3, "How deep arguments are shown in logs and events.")
    task_remote_tracebacks: bool = setting(False, "Send tracebacks as objects with a failure.")
    task_allow_error_cb_on_chord_header: bool = setting(False, "Errbacks of a chord are set on its header's members.")


class RoutingSettings:
    """Queues, and which task goes to which."""

    task_queues: tuple[Any, ...] | Mapping[str, Any] | None = setting(
        None, "The queues: names, `Queue` objects, or a mapping of name to options. None has the default queue alone."
    )
    task_routes: Mapping[Any, Any] | tuple[Any, ...] | Callable[..., Any] | TaskRouter | str | None = setting(
        None,
        "Which task goes where: a mapping of name, pattern or regular expression to a queue or options; "
        "a function; a list of these.",
    )
    task_default_queue: str = setting("celery", "Queue of tasks that no route claims.")
    task_default_queue_type: str = setting("classic", "Type of the default queue on RabbitMQ: classic or quorum.")
    task_default_exchange: str | None = setting(None, "Exchange of queues that name none; None is the queue's name.")
    task_default_exchange_type: str = setting("direct", "Type of exchanges that name none.")
    task_default_routing_key: str | None = setting(
        None, "Routing key of queues that name none; None is the queue's name."
    )
    task_default_priority: int | None = setting(None, "Priority of tasks that name none, 0 to 9.")
    task_default_delivery_mode: Literal[1, 2, "transient", "persistent"] = setting(
        2, "Whether RabbitMQ writes messages to disk: 2 persistent, 1 transient."
    )
    task_queue_max_priority: int | None = setting(None, "`x-max-priority` of queues that name none, on RabbitMQ.")
    task_priority_order: Literal["store", "low_first", "high_first"] = setting(
        "store",
        "Which end of 0 to 9 is the most urgent: 0 with `low_first`, 9 with `high_first`, each on every store; a task "
        "without a priority has 0. `store` leaves it to the store, as Celery does.",
    )
    task_create_missing_queues: bool = setting(
        True, "Queues that are not configured are made on first use; False makes them an error."
    )
    task_create_missing_queue_type: str = setting("classic", "Type of queues made on first use, on RabbitMQ.")
    task_create_missing_queue_exchange_type: str | None = setting(
        None, "Exchange type of queues made on first use; None means `task_default_exchange_type`."
    )
