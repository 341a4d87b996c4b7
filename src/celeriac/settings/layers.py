"""Where a value came from, and which of several values of one setting counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured


class Layer(IntEnum):
    """Kinds of sources; a higher one wins. What is written for the occasion beats what lies around."""

    ADDED_DEFAULTS = 1
    PYPROJECT = 2
    CONFIG = 3
    ENVIRONMENT = 4
    CODE = 5
    COMMAND_LINE = 6


class Given(Struct, frozen=True):
    """A checked value, the source that it was read from (for people), and the name that was written there."""

    value: Any
    source: str
    spelling: str


class Layers:
    """The values given, by setting and layer. Not thread-safe by itself."""

    def __init__(self) -> None:
        self._given: dict[str, dict[Layer, Given]] = {}

    def put(self, name: str, layer: Layer, given: Given) -> None:
        """Note a value; a later one from the same layer replaces an earlier one."""
        self._given.setdefault(name, {})[layer] = given

    def drop(self, name: str) -> bool:
        """Forget every value of the setting; say whether there was one."""
        return self._given.pop(name, None) is not None

    def winner(self, name: str) -> tuple[Layer, Given] | None:
        """Return the value that counts with its layer, None when none was given."""
        values = self._given.get(name)
        if not values:
            return None
        layer = max(values)
        return layer, values[layer]

    def at(self, layer: Layer) -> Mapping[str, Given]:
        """Return what one layer says."""
        return {name: values[layer] for name, values in self._given.items() if layer in values}

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __contains__(self, name: object) -> bool:
        return name in self._given


def refuse_two_spellings(name: str, one: Given, other: Given) -> None:
    """Raise when one source gives one setting twice, under two names and with two values."""
    if one.spelling == other.spelling or one.value == other.value:
        return
    raise ImproperlyConfigured(
        f"{one.spelling} and {other.spelling} are the same setting ({name}) with different values in {other.source}; "
        f"keep {name} and remove the other."
    )
