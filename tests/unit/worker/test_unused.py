"""What a worker says of tasks at its start."""

from __future__ import annotations

import pytest

from celeriac.worker.unused import unkept_limits, unused_attributes
from tests.unit.spine import Spine


def test_attributes_without_effect_are_named_with_the_tasks_that_set_them(spine: Spine) -> None:
    app = spine.app
    app.conf.task_annotations = {"b": {"rate_limit": "10/m"}}
    app.task(name="a", rate_limit="1/s")(print)
    app.task(name="b")(print)
    app.task(name="c", send_events=False, pydantic=True)(print)  # type: ignore[call-overload]
    app.finalize()
    assert list(unused_attributes(app.tasks.values())) == [
        "pydantic has no effect: arguments are handed over as they came, without validation. Set by c.",
        "rate_limit has no effect: this version does not limit rates. Set by a, b.",
    ]


def test_nothing_is_said_where_nothing_is_set_in_vain(spine: Spine) -> None:
    spine.app.task(name="a")(print)
    assert list(unused_attributes(spine.app.tasks.values())) == []


async def coroutine() -> None: ...


@pytest.mark.parametrize(("default", "named"), [(None, "a"), (5.0, "task_time_limit, a")])
def test_hard_limits_that_a_pool_cannot_keep_are_named(spine: Spine, default: float | None, named: str) -> None:
    spine.app.task(name="a", time_limit=3)(print)
    spine.app.task(name="b")(print)
    spine.app.task(name="c", time_limit=3)(coroutine)
    (notice,) = unkept_limits(spine.app.tasks.values(), default)
    assert notice.endswith(f"Set by {named}.")
