"""Every store passes the dead-letter suite."""

from celeriac.testing.conformance.dead_letters import *  # noqa: F403
