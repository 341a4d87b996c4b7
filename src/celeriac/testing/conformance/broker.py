"""The suite of the broker contract: order and bytes, leases, waiting, keeping, following."""

from celeriac.testing.conformance.broker_following import *  # noqa: F403
from celeriac.testing.conformance.broker_keeping import *  # noqa: F403
from celeriac.testing.conformance.broker_leases import *  # noqa: F403
from celeriac.testing.conformance.broker_order import *  # noqa: F403
from celeriac.testing.conformance.broker_waiting import *  # noqa: F403
