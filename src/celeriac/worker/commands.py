"""The commands of remote control that a node obeys. Others belong here: a name, what it does, what it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from celeriac.app.revoking import by_id, by_stamp
from celeriac.exceptions import OperationalError
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds
from celeriac.wire.control import TERM, Request, signal_name
from celeriac.worker.revoked import Revoked

logger = logging.getLogger(__name__)

Answer = Mapping[str, Any]
"""Celery's: ``{"ok": text}`` or ``{"error": text}``."""


class Commands:
    """Obeys requests. Used by one thread.

    `tell` hands on to the engines what must not run. `ttl` is how long that is remembered, in seconds, where it is not
    said.
    """

    def __init__(self, revoked: Revoked, *, tell: Callable[[Sequence[Revocation]], object], ttl: Seconds) -> None:
        self._revoked = revoked
        self._tell = tell
        self._ttl = ttl
        self._known: Final[Mapping[str, Callable[[Request, Mapping[str, Any]], str]]] = {
            "revoke": self._revoke,
            "terminate": self._terminate,
            "revoke_by_stamped_headers": self._revoke_by_stamp,
        }

    def obey(self, request: Request) -> Answer | None:
        """Do what a request says, and return the answer; None for a command that is not known here."""
        command = self._known.get(request.method)
        if command is None:
            return None
        try:
            return {"ok": command(request, request.arguments or {})}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            logger.error("Remote command %s cannot be obeyed: %r", request.method, error)
            return {"error": repr(error)}
        except OperationalError as error:
            logger.error("Remote command %s holds for this node alone: %s", request.method, error)
            return {"error": f"known here, but not kept: {error}"}

    def refresh(self) -> None:
        """Learn what was not heard of. Raises `OperationalError` kin."""
        found = self._revoked.catch_up()
        if found:
            self._tell(found)

    def _revoke(self, request: Request, given: Mapping[str, Any]) -> str:
        ids = given["task_id"]
        ids = [ids] if isinstance(ids, str) else [str(one) for one in ids or ()]
        signal = signal_name(given.get("signal") or TERM) if given.get("terminate") else ""
        self._know(request, by_id(ids, signal=signal, ttl=self._ttl_of(given)))
        if signal:
            return f"terminate: {', '.join(ids)}"
        return f"tasks {', '.join(ids)} flagged as revoked"

    def _terminate(self, request: Request, given: Mapping[str, Any]) -> str:
        return self._revoke(request, {**given, "terminate": True})

    def _revoke_by_stamp(self, request: Request, given: Mapping[str, Any]) -> str:
        headers = given["headers"]
        if isinstance(headers, list):  # from a command line
            headers = _by_name(headers)
        signal = signal_name(given.get("signal") or TERM) if given.get("terminate") else ""
        self._know(request, by_stamp(headers, signal=signal, ttl=self._ttl_of(given)))
        return f"headers {headers} flagged as revoked"

    def _ttl_of(self, given: Mapping[str, Any]) -> Seconds:
        return float(given.get("expires") or self._ttl)

    def _know(self, request: Request, revocations: Sequence[Revocation]) -> None:
        """Let this node know, and the store, which a stock client does not tell; unless it is for some nodes alone."""
        self._revoked.add(revocations)
        self._tell(revocations)
        if request.is_for_all and self._revoked.store is not None:
            self._revoked.store.add(revocations)


def _by_name(words: Sequence[str]) -> dict[str, list[str]]:
    """Read ``name=value`` words; one name may come several times."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, value = word.split("=", 1)
        found.setdefault(name, []).append(value)
    return found
