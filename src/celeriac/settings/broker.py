"""Settings of the broker and of what is accepted from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celeriac.settings.table import setting


class BrokerSettings:
    """Where messages are kept, how the store is reached, how long that may take."""

    broker_url: str | tuple[str, ...] | None = setting(
        None,
        "Where messages are kept. Several URLs, in a list or separated by `;`, are tried in turn. "
        "None uses the SQLite file `celeriac.db` beside the `pyproject.toml` that has `[tool.celeriac]`, else in the "
        "working directory.",
        secret=True,
    )
    broker_read_url: str | tuple[str, ...] | None = setting(
        None,
        "The same as `broker_url`. Workers and callers share one broker: two different URLs are refused.",
        secret=True,
    )
    broker_write_url: str | tuple[str, ...] | None = setting(None, "The same as `broker_read_url`.", secret=True)
    broker_transport_options: dict[str, Any] = setting(
        {}, "Options of the store; its page says which it knows. `visibility_timeout` is the lease where it is set."
    )
    broker_use_ssl: bool | dict[str, Any] = setting(
        False, "TLS to the broker: True for the usual checks, or the names of the `ssl` module with their values."
    )
    broker_connection_timeout: float = setting(4.0, "Longest wait for a connection.", unit="seconds", least=0.01)
    broker_publish_timeout: float = setting(
        4.0, "Longest time that sending takes in all, retries included.", unit="seconds", least=0.01
    )
    broker_connection_retry: bool = setting(True, "Connect again after a connection was lost.")
    broker_connection_retry_on_startup: bool | None = setting(
        None, "Connect again when the first connection fails. None means `broker_connection_retry`."
    )
    broker_connection_max_retries: int | None = setting(
        100, "How often connecting is tried before giving up; None for ever."
    )
    broker_channel_error_retry: bool = setting(False, "Connect again after an error of the channel.")
    broker_failover_strategy: str | Callable[..., Any] | None = setting(
        None, "How the next of several broker URLs is chosen."
    )
    broker_heartbeat: float | None = setting(
        120,
        "How often an AMQP connection proves that it is alive, if the server does not want it more often; 0 for never.",
        unit="seconds",
    )
    broker_heartbeat_checkrate: float = setting(3.0, "How many times in one heartbeat the other side is checked.")
    broker_login_method: str | None = setting(
        None, "AMQP login method: PLAIN, AMQPLAIN or EXTERNAL (by client certificate). None chooses."
    )
    broker_native_delayed_delivery_queue_type: str = setting(
        "quorum", "Type of the queues that hold delayed messages on RabbitMQ."
    )
    broker_pool_limit: int | None = setting(
        10, "Most connections that callers of one process share; None for no limit."
    )
    broker_pool_acquire_timeout: float | None = setting(
        None, "Longest wait for a free connection of the pool.", unit="seconds"
    )
    broker_transport: str | None = setting(None, "Scheme of the broker, in the old way of naming it by parts.")
    broker_host: str | None = setting(None, "Host of the broker, in the old way of naming it by parts.", secret=True)
    broker_port: int | str | None = setting(None, "Port of the broker, in the old way of naming it by parts.")
    broker_user: str | None = setting(None, "User at the broker, in the old way of naming it by parts.")
    broker_password: str | None = setting(
        None, "Password at the broker, in the old way of naming it by parts.", secret=True
    )
    broker_vhost: str | None = setting(None, "Virtual host, in the old way of naming it by parts.")


class ControlSettings:
    """Remote control and events: names and lives of their exchanges and queues."""

    control_exchange: str = setting("celery", "Prefix of the exchanges of remote control.")
    control_queue_ttl: float = setting(300.0, "How long a command waits for its worker.", unit="seconds")
    control_queue_expires: float = setting(10.0, "How long an unused control queue lives.", unit="seconds")
    control_queue_exclusive: bool = setting(True, "Control queues belong to one connection.")
    control_queue_durable: bool = setting(False, "Control queues outlive a restart of the broker.")
    event_exchange: str = setting("celeryev", "Exchange that events are published to.")
    event_queue_prefix: str = setting("celeryev", "Prefix of the queues that receive events.")
    event_queue_ttl: float = setting(5.0, "How long an event waits for its reader.", unit="seconds")
    event_queue_expires: float = setting(60.0, "How long an unused event queue lives.", unit="seconds")
    event_queue_exclusive: bool = setting(True, "Event queues belong to one connection.")
    event_queue_durable: bool = setting(False, "Event queues outlive a restart of the broker.")
    event_serializer: str = setting("json", "How events are written.")
