"""Options that hold for a workflow as a whole: when it must have ended, and what follows its end, well or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celeriac.canvas import forms
from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, Raw, kind_of, leaves, members_of
from celeriac.types import Moment

OF_WHOLES: Final = frozenset({"workflow_deadline", "on_end"})
_HEADER: Final = "workflow_deadline"
_MARK: Final = "workflow_end"
"""The header of a callback that follows the end of a whole, by which a worker knows it among the error callbacks."""


def give_deadline(form: Raw, moment: Moment) -> None:
    """Let no task of a workflow begin after this moment, and no chord wait longer. Changes the form."""
    ends = datetime.fromtimestamp(moment, UTC).isoformat()
    for leaf in leaves(form):
        options = leaf["options"]
        options.setdefault("expires", ends)
        options["headers"] = {**(options.get("headers") or {}), _HEADER: moment}


def deadline_of(body: Mapping[str, Any]) -> Moment | None:
    """Return until when a chord with this body may wait, as `give_deadline` has said; None where nothing was said."""
    for leaf in leaves(body):
        moment = (leaf["options"].get("headers") or {}).get(_HEADER)
        return moment if isinstance(moment, int | float) else None
    return None


def give_end(form: Raw, callback: Raw) -> tuple[Raw, bool]:
    """Let a callback follow the end of a workflow, well or not, once; return the form with it.

    One that ends in a group gets a task behind it, which waits for all members: then the second value is True.
    """
    last = forms.last_of(form)
    is_extended = kind_of(last) == GROUP
    if is_extended:
        form = forms.ends_in_one(form)
    options = callback["options"]
    options = {**options, "headers": {**(options.get("headers") or {}), _MARK: True}}
    callback = {**callback, "immutable": True, "options": options}
    forms.link(form, callback)
    _link_failure(form, callback)
    return form, is_extended


def is_of_end(errback: Mapping[str, Any]) -> bool:
    """Tell whether an error callback is one of `give_end`, which follows also what was revoked or expired."""
    headers = (errback.get("options") or {}).get("headers")
    return isinstance(headers, Mapping) and _MARK in headers


def _link_failure(form: Raw, callback: Raw) -> None:
    """Let a callback follow whichever step fails: those after it call nothing. A chord fails at its body."""
    kind = kind_of(form)
    if kind == CHAIN:
        for step in members_of(form):
            _link_failure(step, callback)
    elif kind == CHORD:
        _link_failure(form["kwargs"]["body"], callback)
    else:
        forms.link_error(form, callback)
