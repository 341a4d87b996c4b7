"""Handles on results, under Celery's import path ``celery.result``."""

from celeriac.result.handle import AsyncResult, allow_join_result

__all__ = ["AsyncResult", "allow_join_result"]
