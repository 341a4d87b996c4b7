"""What unit tests of several parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.spine import Spine


@pytest.fixture
def make_spine() -> Iterator[Callable[..., Spine]]:
    """Return what makes an application with these settings on a store of its own."""
    made: list[Spine] = []

    def make(**settings: object) -> Spine:
        made.append(Spine(**settings))
        return made[-1]

    yield make
    for spine in made:
        spine.close()


@pytest.fixture
def spine(make_spine: Callable[..., Spine]) -> Spine:
    return make_spine()
