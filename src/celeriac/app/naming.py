"""The names of tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def task_name(function: Callable[..., Any], *, main: str | None) -> str:
    """Return ``module.function``.

    For a function of the script that was started, `main` (the application's name) stands for the module, or else the
    script's file name: a worker imports the script under that name, so both sides agree.
    """
    name = getattr(function, "__name__", type(function).__name__)
    module = function.__module__
    if module == "__main__":
        script = getattr(sys.modules["__main__"], "__file__", None)
        module = main or (Path(script).stem if script else module)
    return f"{module}.{name}"
