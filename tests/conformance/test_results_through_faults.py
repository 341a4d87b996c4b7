"""Every store passes the result suite through a connection that is lost before or after one call in three."""

import pytest

from celeriac.interfaces.results import ResultBackend
from celeriac.interfaces.store import Store
from celeriac.testing.conformance.results import *  # noqa: F403
from celeriac.testing.faults import Fault, FaultSchedule, FaultyResults, RetryingResults


@pytest.fixture
def results(store: Store) -> ResultBackend:
    assert store.results is not None
    return RetryingResults(FaultyResults(store.results, FaultSchedule(Fault.AFTER, Fault.BEFORE, every=3)))
