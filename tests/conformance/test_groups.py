"""Every store that counts chords passes the suite of groups."""

from celeriac.testing.conformance.groups import *  # noqa: F403
