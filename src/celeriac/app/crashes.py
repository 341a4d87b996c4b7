"""The counter of a task's crashes: its name, and its end."""

from __future__ import annotations

from celeriac.interfaces.coordinator import Coordinator


def counter_name(task_id: str, retries: int) -> str:
    """Return the name of the counter, which counts for each try of a task anew."""
    return f"crashes:{task_id}:{retries}"


def forget(coordinator: Coordinator, task_id: str, retries: int) -> None:
    """End the counter, so that the next crash is the first. Raises `CoordinatorError` kin."""
    coordinator.increment(counter_name(task_id, retries), by=0, ttl=0.0)
