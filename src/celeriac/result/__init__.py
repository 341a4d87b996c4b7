"""Handles on results, under Celery's import path ``celery.result``."""

from celeriac.result.eager import EagerResult
from celeriac.result.groups import GroupResult, result_from_tuple
from celeriac.result.handle import AsyncResult, ResultBase
from celeriac.result.joining import allow_join_result, denied_join_result
from celeriac.result.sets import ResultSet

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultBase",
    "ResultSet",
    "allow_join_result",
    "denied_join_result",
    "result_from_tuple",
]
