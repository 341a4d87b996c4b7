"""Every store keeps its promises through lost connections."""

from celeriac.testing.conformance.faults import *  # noqa: F403
