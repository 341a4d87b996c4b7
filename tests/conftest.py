"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("celeriac.testing.conformance")  # before any test imports it

# How long an example takes says more of the machine's other work than of ours; pytest-timeout bounds each test.
settings.register_profile("celeriac", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("celeriac")
