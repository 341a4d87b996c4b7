"""Handles on results, under Celery's import path ``celery.result``."""

from celeriac.result.eager import EagerResult
from celeriac.result.handle import AsyncResult, allow_join_result

__all__ = ["AsyncResult", "EagerResult", "allow_join_result"]
