"""The stores under test, one module each: how to open one in a namespace of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case

Make = Callable[[Path, FakeClock], Case]
"""Make a case from an empty directory and the test's clock. Raises `ServerMissing` when its server cannot be had."""


@dataclass(frozen=True, slots=True)
class DriverCase:
    """A row of the table. `service` is what ``CELERIAC_REQUIRE`` calls the server; empty when none is needed.

    `leaves_out` names test modules and tests that this store cannot pass, with the reason for each.
    """

    name: str
    make: Make
    service: str = ""
    leaves_out: Mapping[str, str] = field(default_factory=dict)
