"""Optional libraries: the one table of them, and the one place that loads them when they are first needed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from celeriac.exceptions import ImproperlyConfigured

_MODULES = {
    "yaml": ("yaml", "celeriac[yaml]"),
    "msgpack": ("msgpack", "celeriac[msgpack]"),
    "brotli": ("brotli", "'brotli>=1.2'"),  # the first that can bound what it unpacks
    "zstd": ("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "backports.zstd"),
}


def library(name: str) -> Any:
    """Return the module behind `name`. Raises ImproperlyConfigured, saying what to install, when it is missing."""
    module, package = _MODULES[name]
    loaded = sys.modules.get(module)
    if loaded is not None:
        return loaded
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImproperlyConfigured(f"{name} needs a library that is missing: pip install {package}") from error
