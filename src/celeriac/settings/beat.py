"""Settings of the scheduler."""

from __future__ import annotations

from typing import Any

from celeriac.settings.table import setting


class BeatSettings:
    """What runs when, and who keeps it."""

    beat_schedule: dict[str, Any] = setting({}, "The periodic tasks: a mapping of entry name to task, schedule, args.")
    beat_schedule_filename: str = setting("celerybeat-schedule", "File in which Celery keeps the last runs.")
    beat_scheduler: str | Any = setting("celery.beat:PersistentScheduler", "Class that keeps the schedule.")
    beat_max_loop_interval: float = setting(
        0, "Longest pause between two looks at the schedule; 0 lets the scheduler choose.", unit="seconds"
    )
    beat_sync_every: int = setting(0, "The schedule is saved after so many tasks; 0 leaves it to time.")
    beat_cron_starting_deadline: int | None = setting(
        None, "A run that is later than this at start is left out.", unit="seconds"
    )
    beat_enable_remote_control: bool = setting(False, "The scheduler answers remote control.")
    beat_remote_control_max_tick_age: float | None = setting(
        None, "After so long without a tick the scheduler stops answering.", unit="seconds"
    )
