"""Celery's path to `crontab` and its kin, which this version lacks: importing it says so."""

raise ModuleNotFoundError(
    "celeriac.schedules: this version has no periodic tasks. `celery beat` may go on sending them over a broker that"
    " both use, or let cron run `celeriac call NAME`.",
    name="celeriac.schedules",
)
