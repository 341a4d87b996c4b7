"""Every store passes the suite of revocations."""

from __future__ import annotations

from celeriac.testing.conformance.revocations import *  # noqa: F403
