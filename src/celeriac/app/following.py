"""What follows a call, from the options of the call to the fields of its message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celeriac.canvas.kinds import Raw, as_list, bounded_depth, plain, stamp_names
from celeriac.wire.json import Unread

_NAMES: Final = frozenset({"link", "link_error", "chain", "chord", "replaced_task_nesting", "stamped_headers"})
_NOTHING: Final[Mapping[str, Any]] = {}


def following(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a `TaskCall` that say what it belongs to, and what follows it; none for most calls."""
    if _NAMES.isdisjoint(options):
        return _NOTHING
    with bounded_depth():
        return _fields(options)


def _fields(options: Mapping[str, Any]) -> dict[str, Any]:
    stamped = stamp_names(options)
    callbacks, errbacks = as_list(options.get("link")), as_list(options.get("link_error"))
    rest = options.get("chain")
    chord = options.get("chord")
    return {
        "callbacks": [_as_plain(one) for one in callbacks] or None,
        "errbacks": [_as_plain(one) for one in errbacks] or None,
        "chain": _all_plain(rest) if rest else None,
        "chord": None if chord is None else _as_plain(chord),
        "replaced_task_nesting": options.get("replaced_task_nesting") or 0,
        "stamped_headers": stamped or None,
        "stamps": {name: options[name] for name in stamped if name in options} if stamped else None,
    }


def _all_plain(rest: Sequence[Any]) -> Sequence[Raw]:
    return rest if type(rest) is Unread else [_as_plain(one) for one in rest]


def _as_plain(sig: Any) -> Raw:
    # What a workflow consists of is plain already.
    return sig if type(sig) is dict and "immutable" in sig else plain(sig)
