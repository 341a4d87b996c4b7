"""Handles on results, under Celery's import path ``celery.result``."""

from celeriac.result.eager import EagerResult
from celeriac.result.groups import GroupResult
from celeriac.result.handle import AsyncResult, allow_join_result
from celeriac.result.sets import ResultSet

__all__ = ["AsyncResult", "EagerResult", "GroupResult", "ResultSet", "allow_join_result"]
