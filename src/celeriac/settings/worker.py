"""Settings of the worker: how much it runs at once, when it stops, what it logs."""

from __future__ import annotations

from typing import Any, Literal

from celeriac.settings.table import setting

_LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
_TASK_LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"


class WorkerSettings:
    """What a node and its engines do."""

    worker_concurrency: int | None = setting(
        None, "How many synchronous tasks run at once; None for one per core that the process may use."
    )
    worker_async_concurrency: int = setting(100, "How many `async def` tasks run at once in each engine.")
    worker_pool: str = setting("prefork", "How synchronous tasks run: prefork, threads or solo.")
    worker_lease: float = setting(
        30.0,
        "How long a message stays with a worker that has stopped renewing it. "
        "A `visibility_timeout` in `broker_transport_options` comes first.",
        unit="seconds",
        least=0.1,
    )
    worker_shutdown_grace: float | None = setting(
        25.0,
        "How long a warm shutdown waits for running tasks before it gives them back; None waits for ever.",
        unit="seconds",
    )
    worker_health_file: str | None = setting(
        None,
        "File in which a node says every few seconds how it is, for `celeriac health`; `%n`, `%h` and `%p` stand for "
        "parts of its name. None for `celeriac-NODE.health` in the directory for temporary files.",
    )
    worker_health_limit: float = setting(
        30.0,
        "How long a node may go without an answer to a receive, or without upkeep, before it counts as failing. "
        "An idle receive takes 5 s: stay well above that.",
        unit="seconds",
    )
    worker_health_exit_after: float | None = setting(
        300.0,
        "A node that has been failing for so long stops warmly with exit code 1, for a process manager to start it "
        "again; None lets it try for ever.",
        unit="seconds",
    )
    worker_soft_shutdown_timeout: float = setting(
        0.0, "How long a cold shutdown lets running tasks go on.", unit="seconds"
    )
    worker_enable_soft_shutdown_on_idle: bool = setting(False, "The soft shutdown also waits where nothing runs.")
    worker_prefetch_multiplier: int = setting(4, "How many messages per slot Celery takes ahead.")
    worker_disable_prefetch: bool = setting(False, "Take a message only when a slot is free.")
    worker_enable_prefetch_count_reduction: bool = setting(True, "Take fewer ahead after a lost connection.")
    worker_eta_task_limit: int | None = setting(None, "How many delayed tasks a worker holds in memory.")
    worker_max_tasks_per_child: int | None = setting(
        None, "An engine process is replaced after so many tasks.", unit="tasks"
    )
    worker_max_memory_per_child: int | None = setting(
        None, "An engine process that is larger is replaced after its task.", unit="KiB"
    )
    worker_lost_wait: float = setting(10.0, "How long a lost process may still deliver its result.", unit="seconds")
    worker_proc_alive_timeout: float = setting(4.0, "How long a new process may take to start.", unit="seconds")
    worker_pool_start_method: str = setting(
        "fork", "How engine processes start: fork from the loaded application, or spawn as new interpreters."
    )
    worker_pool_putlocks: bool = setting(True, "Celery's pool takes a lock before it is given a task.")
    worker_pool_restarts: bool = setting(False, "The remote command `pool_restart` is obeyed.")
    worker_cancel_long_running_tasks_on_connection_loss: bool = setting(
        False, "End late-acknowledged tasks when the connection is lost."
    )
    worker_deduplicate_successful_tasks: bool = setting(
        False, "A redelivered task that had succeeded is completed without running again."
    )
    worker_detect_quorum_queues: bool = setting(True, "Look for quorum queues, which need another kind of prefetch.")
    worker_direct: bool = setting(False, "Every worker has a queue of its own.")
    worker_disable_rate_limits: bool = setting(False, "Rate limits are not kept.")
    worker_state_db: str | None = setting(None, "File that keeps revoked ids over restarts.")
    worker_enable_remote_control: bool = setting(
        True, "Hear of remote control what is revoked; no more of it is there."
    )
    worker_send_task_events: bool = setting(False, "Publish events about tasks, for monitors.")
    worker_autoscaler: str | Any = setting("celery.worker.autoscale:Autoscaler", "Class that scales Celery's pool.")
    worker_agent: str | Any = setting(None, "Class of an agent that runs in the worker.")
    worker_consumer: str | Any = setting("celery.worker.consumer:Consumer", "Class of Celery's consumer.")
    worker_timer: str | Any = setting(None, "Class of Celery's timer.")
    worker_timer_precision: float = setting(1.0, "How precise Celery's timer is.", unit="seconds")


class WorkerLogSettings:
    """What the worker writes to its log."""

    worker_hijack_root_logger: bool = setting(
        True, "Replace the handlers of the root logger; False adds the worker's own beside them."
    )
    worker_log_format: str = setting(_LOG_FORMAT, "Format of log lines.")
    worker_task_log_format: str = setting(_TASK_LOG_FORMAT, "Format of log lines written by tasks.")
    worker_log_datefmt: str | None = setting(None, "Format of the time in log lines, as for `time.strftime`.")
    worker_task_log_datefmt: str | None = setting(None, "The same for lines written by tasks.")
    worker_log_color: bool | None = setting(None, "Colour by level; None where the log is a terminal.")
    worker_log_json: bool = setting(False, "One JSON object per line, with task id and name as fields.")
    worker_redirect_stdouts: bool = setting(True, "What tasks print goes to the log.")
    worker_redirect_stdouts_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | int = setting(
        "WARNING", "Level at which printed lines are logged."
    )
