"""The stores: one folder each, found by the scheme of a URL. `load` is the only place that finds one."""

from __future__ import annotations

import importlib
from typing import Final

from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import Store, StoreOptions

_MODULES: Final = {
    "memory": "celeriac.drivers.memory.store",
    "sqlite": "celeriac.drivers.sqlite.store",
    "redis": "celeriac.drivers.redis.store",
    "rediss": "celeriac.drivers.redis.store",
    "sentinel": "celeriac.drivers.redis.store",
    "valkey": "celeriac.drivers.redis.store",
    "valkeys": "celeriac.drivers.redis.store",
    "redis+socket": "celeriac.drivers.redis.store",
    "amqp": "celeriac.drivers.rabbitmq.store",
    "amqps": "celeriac.drivers.rabbitmq.store",
    "pyamqp": "celeriac.drivers.rabbitmq.store",
}


def load(url: str, options: StoreOptions) -> Store:
    """Open the store that `url` names; nothing is connected yet.

    Several URLs separated by ``;`` go to one driver (failover, sentinels). Raises `ImproperlyConfigured` for a scheme
    that nobody serves, and for a driver whose client library is not installed, with the command that installs it.
    """
    scheme = url.split(":", 1)[0].lower()
    name = _MODULES.get(scheme)
    if name is None:
        known = ", ".join(sorted(_MODULES))
        raise ImproperlyConfigured(f"No driver serves {scheme!r} URLs; known schemes: {known}.")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = name.split(".")[-2]
        raise ImproperlyConfigured(
            f"{scheme}:// URLs need {error.name}, which is not installed: pip install 'celeriac[{extra}]'."
        ) from error
    store: Store = module.open_store(url, options)
    return store
