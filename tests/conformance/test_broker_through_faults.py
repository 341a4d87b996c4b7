"""Every store passes the broker suite through a connection that is lost before one call in three.

A call that was cut after the store had done it cannot pass for exactly once; `test_faults` holds what it must pass.
"""

import pytest

from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store
from celeriac.testing.conformance.broker import *  # noqa: F403
from celeriac.testing.faults import Fault, FaultSchedule, FaultyBroker, RetryingBroker


@pytest.fixture
def broker(store: Store) -> Broker:
    assert store.broker is not None
    return RetryingBroker(FaultyBroker(store.broker, FaultSchedule(Fault.BEFORE, every=3)))
