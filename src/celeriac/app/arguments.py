"""Checking a call's arguments against the function before the message is sent.

A wrong call then fails in the caller's traceback and not in a worker. `inspect.Signature.bind` costs some 5 µs a
call; the plain checks here cost a tenth of that, and `bind` is asked only for the text of the error.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from celeriac.types import Args, Kwargs


class ArgumentCheck:
    """Tells whether arguments fit a function. Built once per task; immutable, so safe in any thread."""

    __slots__ = (
        "_any_named",
        "_any_positional",
        "_enough",
        "_least",
        "_most",
        "_named",
        "_order",
        "_required",
        "_signature",
    )

    def __init__(self, function: Callable[..., Any], *, skip_first: bool) -> None:
        import inspect  # noqa: PLC0415  ADR 0012

        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if skip_first:
            parameters = parameters[1:]
            signature = signature.replace(parameters=parameters)
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._signature = signature
        # None stands for a parameter without a name to callers: no keyword can fill it, or be in its way.
        self._order = tuple(None if p.kind is p.POSITIONAL_ONLY else p.name for p in positional)
        self._most = len(positional)
        self._least = sum(p.kind is p.POSITIONAL_ONLY and p.default is p.empty for p in positional)
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self._required = frozenset(p.name for p in named if p.default is p.empty)
        self._named = frozenset(p.name for p in named)
        self._enough = self._fewest_without_names()
        self._any_positional = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._any_named = any(p.kind is p.VAR_KEYWORD for p in parameters)

    def __call__(self, args: Args, kwargs: Kwargs) -> None:
        """Raise TypeError, worded as Python words it, when the arguments do not fit."""
        given = len(args)
        if kwargs:
            fits = self._fit_with_names(given, kwargs)
        else:
            fits = given >= self._enough and (given <= self._most or self._any_positional)
        if not fits:
            self._signature.bind(*args, **kwargs)

    def room(self, kwargs: Kwargs) -> float:
        """Return how many positional arguments a call with these keywords can have."""
        return inf if self._any_positional else self._most - len(kwargs.keys() & set(self._order))

    def _fewest_without_names(self) -> float:
        """Return how many arguments a call without keywords needs at least; infinity when there is no such call."""
        if not self._required.issubset(self._order):
            return inf
        last = max((place for place, name in enumerate(self._order, start=1) if name in self._required), default=0)
        return max(self._least, last)

    def _fit_with_names(self, given: int, kwargs: Kwargs) -> bool:
        if given < self._least or (given > self._most and not self._any_positional):
            return False
        taken = self._order[:given]
        names = kwargs.keys()
        if not self._any_named and not names <= self._named:
            return False
        return names.isdisjoint(taken) and self._required.issubset((*taken, *names))
