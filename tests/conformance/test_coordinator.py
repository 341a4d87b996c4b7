"""Every store passes the coordinator suite."""

from celeriac.testing.conformance.coordinator import *  # noqa: F403
