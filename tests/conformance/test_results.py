"""Every store passes the result suite."""

from celeriac.testing.conformance.results import *  # noqa: F403
