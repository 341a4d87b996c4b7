"""What people say is to be revoked, as revocations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds


def by_id(task_ids: Iterable[str], *, signal: str, ttl: Seconds) -> list[Revocation]:
    """Return a revocation for each id."""
    return [Revocation(task_id, signal=signal, ttl=ttl) for task_id in dict.fromkeys(task_ids)]


def by_stamp(headers: Mapping[str, Any], *, signal: str, ttl: Seconds) -> list[Revocation]:
    """Return a revocation for each stamp of ``{header: stamp, or list of stamps}``."""
    return [
        Revocation(header=header, stamp=stamp, signal=signal, ttl=ttl)
        for header, given in headers.items()
        for stamp in stamps_of(given)
    ]


def stamps_of(given: Any) -> list[str]:
    """Return a stamp, or a list of such, as texts, by which they are compared."""
    return [str(one) for one in given] if isinstance(given, list | tuple | set | frozenset) else [str(given)]
