"""Settings of results."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celeriac.settings.table import setting

_DAY = timedelta(days=1).total_seconds()


class ResultSettings:
    """Where results are kept, how they are written, how long they live."""

    result_backend: str | None = setting(
        None,
        "Where results are kept. None keeps them in the broker's own store for `result_default_expires`; `rpc://`, "
        "and None on RabbitMQ, sends them to whoever sent the task; `disabled://` keeps none.",
        secret=True,
    )
    result_backend_transport_options: dict[str, Any] = setting({}, "Options of the result store; its page says which.")
    redis_backend_use_ssl: bool | dict[str, Any] | None = setting(
        None, "TLS to a Redis result store: True for the usual checks, or the names of the `ssl` module."
    )
    result_serializer: str = setting("json", "How results are written.")
    result_accept_content: tuple[str, ...] | None = setting(
        None, "Content types that are read from results; None means `accept_content`."
    )
    result_compression: str | None = setting(None, "How results are compressed.")
    result_expires: float | None = setting(
        _DAY, "How long results live in the store that `result_backend` names; None or 0 keeps them.", unit="seconds"
    )
    result_default_expires: float = setting(
        3600.0, "How long results live where no `result_backend` is configured.", unit="seconds"
    )
    result_failure_expires: float | None = setting(
        None, "How long failures live; None means as long as other results.", unit="seconds"
    )
    result_max_bytes: int | None = setting(
        None, "A result that is larger is stored as a failure that says so; None for no limit.", unit="bytes"
    )
    result_extended: bool = setting(False, "Store name, arguments, worker, retries and queue with each result.")
    result_backend_always_retry: bool = setting(False, "Try again when the result store fails.")
    result_backend_max_retries: float = setting(float("inf"), "How often the result store is tried again.")
    result_backend_base_sleep_between_retries_ms: int = setting(
        10, "First pause before the result store is tried again.", unit="milliseconds"
    )
    result_backend_max_sleep_between_retries_ms: int = setting(
        10000, "Longest pause before the result store is tried again.", unit="milliseconds"
    )
    result_backend_thread_safe: bool = setting(False, "Celery shares one backend object between threads.")
    result_cache_max: int = setting(-1, "How many results a client remembers; -1 for none.")
    result_chord_expires: float | None = setting(
        None, "How long a chord may take before it has failed; None means `result_expires`.", unit="seconds"
    )
    result_chord_join_timeout: float = setting(
        3.0, "Longest wait for a member's result when a chord is joined.", unit="seconds"
    )
    result_chord_retry_interval: float = setting(
        1.0, "How often Celery looks whether a chord is complete.", unit="seconds"
    )
    result_exchange: str = setting("celeryresults", "Exchange of results sent as messages.")
    result_exchange_type: str = setting("direct", "Type of that exchange.")
    result_persistent: bool | None = setting(None, "Results sent as messages outlive a restart of the broker.")
