"""Celery's settings that have no effect here, each with the reason. Work that gives one an effect removes its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from celeriac.settings.beat import BeatSettings
from celeriac.settings.broker import ControlSettings
from celeriac.settings.security import SecuritySettings
from celeriac.settings.stores import DatabaseSettings, OtherStoreSettings, RedisSettings
from celeriac.settings.table import fields_of

_UNUSED = "not used by this version"
_NO_CONTROL = "this version sends no events, and obeys `revoke` alone of remote control"
_NO_RATES = "this version has no rate limits"
_NO_STORE = "this version has no driver for that store"
_IN_URL = "write it in the URL"
_ENGINE = "the engine works in another way"
_COUNTED = "the store counts what ends; nobody waits for members or asks again"
_RECONNECT = "a worker always connects again, with growing pauses"
_PREFETCH = "how many messages an engine takes follows from how long its tasks run"

INERT: Final[Mapping[str, str]] = {
    **dict.fromkeys(fields_of(ControlSettings).keys() - {"control_exchange"}, _NO_CONTROL),
    **dict.fromkeys(fields_of(BeatSettings), "this version has no periodic tasks"),
    **dict.fromkeys(fields_of(SecuritySettings), "this version signs no messages"),
    **dict.fromkeys(fields_of(DatabaseSettings, OtherStoreSettings), _NO_STORE),
    **dict.fromkeys(fields_of(RedisSettings), "write it in `result_backend` or `result_backend_transport_options`"),
    "broker_channel_error_retry": _RECONNECT,
    "broker_connection_max_retries": _RECONNECT,
    "broker_connection_retry": _RECONNECT,
    "broker_failover_strategy": "the broker's URLs are tried in the order given",
    "broker_heartbeat_checkrate": "a connection is looked after four times in each heartbeat",
    "broker_host": _IN_URL,
    "broker_password": _IN_URL,
    "broker_pool_acquire_timeout": _ENGINE,
    "broker_pool_limit": _ENGINE,
    "broker_port": _IN_URL,
    "broker_transport": _IN_URL,
    "broker_user": _IN_URL,
    "broker_vhost": _IN_URL,
    "deprecated_settings": "it is a note of Celery to itself",
    "enable_utc": "moments in messages are always UTC; times without a zone are in `timezone`",
    "result_backend_always_retry": _UNUSED,
    "result_backend_base_sleep_between_retries_ms": _UNUSED,
    "result_backend_max_retries": _UNUSED,
    "result_backend_max_sleep_between_retries_ms": _UNUSED,
    "result_backend_thread_safe": "result stores are always safe to share between threads",
    "result_cache_max": "results are not remembered by the client",
    "result_chord_join_timeout": _COUNTED,
    "result_chord_retry_interval": _COUNTED,
    "result_compression": "results are written plain; compressed ones are read",
    "result_exchange": _UNUSED,
    "result_exchange_type": _UNUSED,
    "result_failure_expires": _UNUSED,
    "result_persistent": _UNUSED,
    "task_default_delivery_mode": "messages on RabbitMQ are always persistent",
    "task_default_rate_limit": _NO_RATES,
    "task_protocol": "version 2 is written, both are read",
    "task_remote_tracebacks": _UNUSED,
    "task_repr_maxlevels": "arguments are not shown in logs",
    "task_retry_on_worker_lost": _UNUSED,
    "task_send_sent_event": _NO_CONTROL,
    "worker_agent": _ENGINE,
    "worker_autoscaler": "say how many tasks run at once with `worker_concurrency`",
    "worker_cancel_long_running_tasks_on_connection_loss": _UNUSED,
    "worker_consumer": _ENGINE,
    "worker_deduplicate_successful_tasks": _UNUSED,
    "worker_detect_quorum_queues": _UNUSED,
    "worker_direct": _UNUSED,
    "worker_disable_prefetch": _PREFETCH,
    "worker_disable_rate_limits": _NO_RATES,
    "worker_enable_prefetch_count_reduction": _PREFETCH,
    "worker_enable_soft_shutdown_on_idle": "`worker_shutdown_grace` says how long a stop may take",
    "worker_eta_task_limit": "delayed messages wait in the broker",
    "worker_lost_wait": _ENGINE,
    "worker_pool_putlocks": _ENGINE,
    "worker_pool_restarts": _NO_CONTROL,
    "worker_prefetch_multiplier": _PREFETCH,
    "worker_proc_alive_timeout": _ENGINE,
    "worker_send_task_events": _NO_CONTROL,
    "worker_soft_shutdown_timeout": "`worker_shutdown_grace` says how long a stop may take",
    "worker_state_db": "what is revoked is kept in the store",
    "worker_timer": _ENGINE,
    "worker_timer_precision": _ENGINE,
}

KEPT_BY_ITSELF: Final = frozenset({"enable_utc", "task_default_delivery_mode", "task_protocol"})
"""Those of them whose default is what happens anyway: only another value is set in vain."""
