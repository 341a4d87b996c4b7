"""What tests of the supervisor share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from celeriac.interfaces.broker import Lease
from celeriac.testing.conformance.samples import receive, send
from tests.unit.worker.supervising import Node


@pytest.fixture
def node(spine) -> Iterator[Callable[[int], Node]]:
    """Return what starts a node of so many engines."""
    made: list[Node] = []

    def make(engines: int = 1) -> Node:
        made.append(Node(spine.app, engines=engines))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def leases(spine) -> list[Lease]:
    send(spine.app.broker, *range(4))
    return [delivery.lease for delivery in receive(spine.app.broker)]
