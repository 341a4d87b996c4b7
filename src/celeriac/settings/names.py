"""How a setting may be spelled: Celery's names, their older UPPERCASE forms, a namespace, and near misses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from celeriac.settings.beat import BeatSettings
from celeriac.settings.broker import BrokerSettings, ControlSettings
from celeriac.settings.result import ResultSettings
from celeriac.settings.security import SecuritySettings
from celeriac.settings.stores import DatabaseSettings, OtherStoreSettings, RedisSettings
from celeriac.settings.table import Field, fields_of
from celeriac.settings.task import GeneralSettings, RoutingSettings, TaskSettings
from celeriac.settings.worker import WorkerLogSettings, WorkerSettings

GROUPS: Final[tuple[type, ...]] = (
    GeneralSettings,
    BrokerSettings,
    TaskSettings,
    RoutingSettings,
    WorkerSettings,
    WorkerLogSettings,
    ResultSettings,
    BeatSettings,
    SecuritySettings,
    ControlSettings,
    RedisSettings,
    DatabaseSettings,
    OtherStoreSettings,
)

FIELDS: Final[Mapping[str, Field]] = fields_of(*GROUPS)
"""The whole table, by name."""

PREFIXES: Final = ("CELERIAC_", "CELERY_")
"""What may stand before an UPPERCASE name in every source."""

OUR_OWN: Final = frozenset(
    {
        "broker_publish_timeout",
        "result_default_expires",
        "result_max_bytes",
        "task_max_crashes",
        "task_message_full",
        "task_message_max_bytes",
        "task_priority_order",
        "task_unknown_policy",
        "worker_async_concurrency",
        "worker_health_exit_after",
        "worker_health_file",
        "worker_health_limit",
        "worker_lease",
        "worker_log_json",
        "worker_shutdown_grace",
    }
)
"""The names that Celery does not have."""

_SAME_IN_UPPERCASE: Final = ("azureblockblob", "broker", "cassandra", "control", "cosmosdbsql", "gcs", "s3")
_OLD_PREFIX: Final = {"beat": "CELERYBEAT_", "task": "CELERY_", "worker": "CELERYD_"}
_IRREGULAR: Final = {
    "database_create_tables_at_setup": "DATABASE_CREATE_TABLES_AT_SETUP",
    "database_engine_callback": "DATABASE_ENGINE_CALLBACK",
    "database_engine_options": "CELERY_RESULT_ENGINE_OPTIONS",
    "database_short_lived_sessions": "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS",
    "database_table_names": "CELERY_RESULT_DB_TABLENAMES",
    "database_table_schemas": "DATABASE_TABLE_SCHEMAS",
    "database_url": "CELERY_RESULT_DBURI",
    "enable_utc": "ENABLE_UTC",
    "result_accept_content": "RESULT_ACCEPT_CONTENT",
    "result_cache_max": "CELERY_MAX_CACHED_RESULTS",
    "result_expires": "CELERY_TASK_RESULT_EXPIRES",
    "task_compression": "CELERY_MESSAGE_COMPRESSION",
    "task_eager_propagates": "CELERY_EAGER_PROPAGATES_EXCEPTIONS",
    "task_protocol": "CELERY_TASK_PROTOCOL",
    "task_publish_retry": "CELERY_TASK_PUBLISH_RETRY",
    "task_publish_retry_policy": "CELERY_TASK_PUBLISH_RETRY_POLICY",
    "task_send_sent_event": "CELERY_SEND_TASK_SENT_EVENT",
    "task_serializer": "CELERY_TASK_SERIALIZER",
    "task_soft_time_limit": "CELERYD_TASK_SOFT_TIME_LIMIT",
    "task_time_limit": "CELERYD_TASK_TIME_LIMIT",
    "worker_direct": "CELERY_WORKER_DIRECT",
    "worker_disable_rate_limits": "CELERY_DISABLE_RATE_LIMITS",
    "worker_enable_remote_control": "CELERY_ENABLE_REMOTE_CONTROL",
    "worker_lost_wait": "CELERYD_WORKER_LOST_WAIT",
    "worker_redirect_stdouts": "CELERY_REDIRECT_STDOUTS",
    "worker_redirect_stdouts_level": "CELERY_REDIRECT_STDOUTS_LEVEL",
    "worker_send_task_events": "CELERY_SEND_EVENTS",
}


def old_name(name: str) -> str:
    """Return the UPPERCASE name that Celery 3 had for one of its settings."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    head, _, tail = name.partition("_")
    if head in _SAME_IN_UPPERCASE:
        return name.upper()
    if head in _OLD_PREFIX:
        return _OLD_PREFIX[head] + tail.upper()
    return f"CELERY_{name.upper()}"


NEW_NAMES: Final[Mapping[str, str]] = {old_name(name): name for name in FIELDS if name not in OUR_OWN}
"""UPPERCASE name to the present one."""


def canonical(name: str) -> str | None:
    """Return the setting that `name` spells, None when it is no setting of ours.

    Understood are the present name, the old UPPERCASE one, and the present one in capitals after one of `PREFIXES`.
    """
    if name in FIELDS:
        return name
    if name in NEW_NAMES:
        return NEW_NAMES[name]
    for prefix in PREFIXES:
        if name.startswith(prefix) and name[len(prefix) :].lower() in FIELDS:
            return name[len(prefix) :].lower()
    return None


def within_namespace(name: str, namespace: str) -> str | None:
    """Return what a prefixed name says without its prefix, in small letters; None when it has not the prefix.

    With the namespace ``CELERY``, ``CELERY_BROKER_URL`` says ``broker_url``; an old name is told as its present one.
    """
    prefix = f"{namespace.rstrip('_')}_"
    if not name.startswith(prefix):
        return None
    bare = name[len(prefix) :]
    if bare.lower() in FIELDS:
        return bare.lower()
    return NEW_NAMES.get(name) or NEW_NAMES.get(bare) or bare.lower()


def resembling(name: str) -> str | None:
    """Return the setting that an unknown name was probably meant to be, spelled as the user spells; None if none is.

    Near enough are a letter or two, a plural, and a missing or wrong first word (``acks_late``).
    """
    if name.isupper():
        if not looks_like_ours(name):
            return None
        prefix = "CELERIAC_" if name.startswith("CELERIAC_") else "CELERY_"
        return nearest(name, [*NEW_NAMES, *(f"{prefix}{known.upper()}" for known in FIELDS)])
    for first in ("task", "worker", "result", "broker"):
        if f"{first}_{name}" in FIELDS and "_" in name:
            return f"{first}_{name}"
    first, _, rest = name.partition("_")
    if first in ("celery", "celeriac") and rest in FIELDS:
        return rest
    if first in ("celeryd", "celery", "tasks", "workers", "results") and "_" in rest:
        return _only(known for known in FIELDS if known.endswith(f"_{rest}"))
    return nearest(name, FIELDS)


def looks_like_ours(name: str) -> bool:
    """Say whether an unknown name may be a setting; capitals of other libraries in the same module are not."""
    return not name.isupper() or name.startswith(("BROKER_", "CELERIAC_", "CELERY"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the closest name: equal but for plurals, or at most about one letter in eight apart."""
    candidates = list(known)
    singular = _singular(name)
    for candidate in candidates:
        if _singular(candidate) == singular:
            return candidate
    import difflib  # noqa: PLC0415  ADR 0012

    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.9)
    return found[0] if found else None


def _singular(name: str) -> str:
    return "_".join(word.rstrip("sS") for word in name.split("_"))


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None
