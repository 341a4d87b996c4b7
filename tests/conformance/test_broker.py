"""Every store passes the broker suite."""

from celeriac.testing.conformance.broker import *  # noqa: F403
