"""Every store passes the suite of waiting for many results at once."""

from celeriac.testing.conformance.listening import *  # noqa: F403
