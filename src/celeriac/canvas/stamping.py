"""Stamps: headers of the user's that every task of a workflow carries, to be found by."""
# ruff: noqa: ARG002  hooks take what those who override them may want

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Final

from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, as_group, as_list, kind_of, members_of

_NAMES = "stamped_headers"


class StampingVisitor(ABC):
    """Decides which stamps each part of a workflow gets. The methods, Celery's, return stamps by name; or None.

    Where a mapping has ``stamped_headers``, only the names in that are stamps. Stamps go down from the whole to its
    parts, and are handed in as `headers`.
    """

    @abstractmethod
    def on_signature(self, sig: Any, **headers: Any) -> Mapping[str, Any] | None:
        """Return the stamps of a task."""

    def on_group_start(self, group: Any, **headers: Any) -> Mapping[str, Any] | None:
        """Return stamps for all members of a group."""
        return None

    def on_group_end(self, group: Any, **headers: Any) -> None:  # noqa: B027  a hook that few need
        """Take note that all members have been stamped."""

    def on_chain_start(self, chain: Any, **headers: Any) -> Mapping[str, Any] | None:
        """Return stamps for all steps of a chain."""
        return None

    def on_chain_end(self, chain: Any, **headers: Any) -> None:  # noqa: B027  a hook that few need
        """Take note that all steps have been stamped."""

    def on_chord_header_start(self, sig: Any, **header: Any) -> Mapping[str, Any] | None:
        """Return stamps for all members of a chord's header; by default those of a group."""
        return self.on_group_start(as_group(sig.tasks), **header)

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """Take note that all members have been stamped; by default as for a group."""
        self.on_group_end(as_group(sig.tasks), **header)

    def on_chord_body(self, sig: Any, **header: Any) -> Mapping[str, Any] | None:
        """Return stamps for the body of a chord."""
        return None

    def on_callback(self, callback: Any, **header: Any) -> Mapping[str, Any] | None:
        """Return stamps for a callback."""
        return None

    def on_errback(self, errback: Any, **header: Any) -> Mapping[str, Any] | None:
        """Return stamps for an error callback."""
        return None


class _Nobody(StampingVisitor):
    def on_signature(self, sig: Any, **headers: Any) -> None:
        """Add nothing."""


NOBODY: Final = _Nobody()
"""Adds no stamps of its own."""


def stamp(sig: Any, visitor: StampingVisitor, headers: Mapping[str, Any], *, appends: bool) -> None:
    """Stamp a signature and all that is in it and linked to it.

    `appends` makes a list of the values where a stamp is there already; otherwise the last one stays.
    """
    kind = kind_of(sig)
    if kind == GROUP:
        inner = _merged(headers, visitor.on_group_start(sig, **headers), appends=appends)
        sig.map_tasks(lambda one: stamp(one, visitor, inner, appends=appends))
        visitor.on_group_end(sig, **inner)
    elif kind == CHAIN:
        inner = _merged(headers, visitor.on_chain_start(sig, **headers), appends=appends)
        for step in members_of(sig):
            stamp(step, visitor, inner, appends=appends)
        visitor.on_chain_end(sig, **inner)
    elif kind == CHORD:
        _stamp_chord(sig, visitor, headers, appends=appends)
    else:
        own = _merged(headers, visitor.on_signature(sig, **headers), appends=appends)
        there = {name: sig.options[name] for name in sig.options.get(_NAMES) or () if name in sig.options}
        sig.options.update(_merged({**there, _NAMES: list(there)}, own, appends=appends))
    stamp_links(sig, visitor, headers, appends=appends)


def stamp_links(sig: Any, visitor: StampingVisitor, headers: Mapping[str, Any], *, appends: bool) -> None:
    """Stamp what is linked to a signature."""
    for option, visit in (("link", visitor.on_callback), ("link_error", visitor.on_errback)):
        for one in as_list(sig.options.get(option)):
            stamp(one, visitor, _merged(headers, visit(one, **headers), appends=appends), appends=appends)


def _stamp_chord(sig: Any, visitor: StampingVisitor, headers: Mapping[str, Any], *, appends: bool) -> None:
    inner = _merged(headers, visitor.on_chord_header_start(sig, **headers), appends=appends)
    sig.tasks.map_tasks(lambda one: stamp(one, visitor, inner, appends=appends))
    visitor.on_chord_header_end(sig, **inner)
    if sig.body is not None:
        inner = _merged(headers, visitor.on_chord_body(sig, **headers), appends=appends)
        stamp(sig.body, visitor, inner, appends=appends)


def _merged(headers: Mapping[str, Any], more: Mapping[str, Any] | None, *, appends: bool) -> dict[str, Any]:
    """Return the stamps of both with their names."""
    found: dict[str, Any] = {}
    for name, value in [*_stamps(headers), *_stamps(more or {})]:
        if appends and name in found and found[name] != value:
            found[name] = [*as_list(found[name]), *(one for one in as_list(value) if one not in as_list(found[name]))]
        else:
            found[name] = value
    return {**found, _NAMES: sorted(found)}


def _stamps(headers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    names = headers.get(_NAMES)
    for name, value in headers.items():
        if name != _NAMES and (names is None or name in names):
            yield name, value
