"""When workflows have ended, nothing of them is left in the store but results, and marks that end by themselves."""

from __future__ import annotations

import pytest

from celeriac import chord, group
from tests.canvas.bench import DEADLINE
from tests.canvas.conftest import make_bench
from tests.integration.conftest import shared_server
from tests.servers.missing import or_skip


def run_some(bench) -> None:
    s = lambda name: bench.tasks.step.s(label=name)
    workflows = [
        chord([s("a"), s("b")], s("c")),
        chord([chord([s("a"), bench.tasks.fail.s(label="x")], s("b")), s("c")], s("d")),
        s("a") | group(s("b"), s("c")) | s("d") | group(s("e"), s("f")) | s("g"),
        chord([bench.tasks.replace.s(label="r", by=group(s("a"), s("b"))), s("c")], s("d")),
    ]
    for workflow in workflows:
        result = workflow.apply_async()
        result.get(DEADLINE, propagate=False)
    bench.rest()


def test_on_redis_all_keys_are_results_or_have_an_end(tmp_path):
    bench = make_bench("redis", tmp_path, result_backend=or_skip(shared_server, "redis").url).start()
    prefix = bench.app.conf.broker_transport_options["global_keyprefix"]
    outside = shared_server().client()
    before = set(outside.scan_iter("*", count=10_000))
    try:
        run_some(bench)
        bench.until(lambda: not list(outside.scan_iter("celery-taskset-meta-*.j", count=10_000)))
        left = set(outside.scan_iter("*", count=10_000)) - before
        chords = [key for key in left if b"taskset" in key or b":chord" in key]
        assert [key for key in chords if not key.endswith(b".c")] == []
        assert all(0 < outside.ttl(key) <= 300 for key in chords)
        assert [
            key for key in left if not key.startswith((prefix.encode(), b"celery-task")) and outside.ttl(key) < 0
        ] == []
    finally:
        outside.close()
        bench.stop()


def test_on_sqlite_no_part_is_left(tmp_path):
    bench = make_bench("sqlite", tmp_path).start()
    try:
        run_some(bench)
        with bench.app.groups._database.read(Exception) as connection:
            count = lambda table, rest="": connection.execute(f"SELECT count(*) FROM {table} {rest}").fetchone()[0]
            bench.until(lambda: count("chord_parts") == 0)
            assert count("chords", "WHERE is_closed = 0") == 0
            assert count("chord_members") == count("task_groups") == 0
    finally:
        bench.stop()


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
def test_a_chord_that_was_added_to_is_forgotten_too(store, tmp_path):
    bench = make_bench(store, tmp_path).start()
    try:
        value = (
            chord([bench.tasks.grow.s(), bench.tasks.step.s(label="m")], bench.tasks.step.s(label="b"))
            .apply_async()
            .get(DEADLINE)
        )
        assert sorted(value.removeprefix("b([").removesuffix("])").split(",")) == ["added()", "grown", "m()"]
        bench.rest()
    finally:
        bench.stop()
