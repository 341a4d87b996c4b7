"""How a workflow ended."""

from __future__ import annotations

from typing import Any

from tests.canvas.bench import DEADLINE, Bench
from tests.canvas.interpreter import Ended


def end_of(bench: Bench, result: Any, *, timeout: float = DEADLINE) -> Ended:
    """Wait for a result; return its value, or the error that the store has."""
    try:
        return Ended(listed(result.get(timeout=timeout)))
    except TimeoutError:
        raise
    except Exception:
        return Ended(error=_stored_error(bench, result))


def listed(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    return [listed(one) for one in value] if isinstance(value, list | tuple) else value


def _stored_error(bench: Bench, result: Any) -> str | None:
    members = getattr(result, "results", None)
    if members is not None:
        return next((found for one in members if (found := _stored_error(bench, one))), None)
    bench.until(result.ready)
    stored = bench.app.AsyncResult(result.id)
    return None if stored.successful() else type(stored.result).__name__
