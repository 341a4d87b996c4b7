"""What a test does whose server, or other program, is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn, TypeVar

import pytest

from tests.servers.certificates import ServerMissing

T = TypeVar("T")


def or_skip(start: Callable[[], T], *services: str) -> T:
    """Return what `start` returns; where it raises `ServerMissing`, skip as `skip` does."""
    try:
        return start()
    except ServerMissing as missing:
        skip(str(missing), *services)


def skip(what: str, *services: str) -> NoReturn:
    """Skip the test, or fail it where ``CELERIAC_REQUIRE`` names one of the services."""
    required = set(services) & set(os.environ.get("CELERIAC_REQUIRE", "").split(","))
    if required:
        pytest.fail(f"CELERIAC_REQUIRE names {', '.join(sorted(required))}: {what}")
    pytest.skip(what)
