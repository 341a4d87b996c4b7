"""Every store passes the pubsub suite."""

from celeriac.testing.conformance.pubsub import *  # noqa: F403
