"""What a node is called, and what it is started with."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.conf import Settings
from celeriac.settings.layers import Layer
from celeriac.worker.nodename import expand, full_name
from celeriac.worker.options import NodePlan, WorkerOptions, plan

# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        (None, "celery@box.example.com"),
        ("", "celery@box.example.com"),
        ("images", "images@box.example.com"),
        ("images@%h", "images@box.example.com"),
        ("images@%t", "images@box"),
        ("images@%n", "images@box"),
        ("%n@%d", "box@example.com"),
        ("@elsewhere", "celery@elsewhere"),
        ("images@", "images@box.example.com"),
        ("@", "celery@box.example.com"),
        ("a@b", "a@b"),
        ("100%%@b", "100%@b"),
    ],
)
def test_a_node_s_name_is_made_whole(given_name, expected):
    assert full_name(given_name, host="box.example.com") == expected


@pytest.mark.parametrize(
    ("text", "index", "expected"),
    [
        ("/log/%n.log", 0, "/log/images.log"),
        ("/log/%p.log", 0, "/log/images@box.example.com.log"),
        ("%h %d %t", 0, "box.example.com example.com box"),
        ("%n%I.log", 0, "images.log"),
        ("%n%I.log", 3, "images-3.log"),
        ("%n-%i.log", 0, "images-0.log"),
        ("%n-%i.log", 3, "images-3.log"),
        ("%%n", 0, "%n"),
        ("%%%n", 0, "%images"),
        ("100%", 0, "100%"),
        ("%z", 0, "%z"),
        ("", 0, ""),
    ],
)
def test_celery_s_marks_are_replaced(text, index, expected):
    assert expand(text, "images@box.example.com", index=index) == expected


@given(st.text(alphabet="ab%", max_size=12))
def test_percent_signs_in_any_number_are_no_error(text):
    assert isinstance(expand(text, "n@h"), str)


# -- options -----------------------------------------------------------------------------------------------------------


def planned(*, conf: dict[str, object] | None = None, **options: object) -> NodePlan:
    settings = Settings()
    settings.update(conf or {})
    return plan(WorkerOptions(**options), settings, queues=("celery",))


@pytest.mark.parametrize(
    ("options", "conf", "shape"),
    [
        ({"concurrency": 3}, {}, (3, 1, True, False)),
        ({"pool": "processes", "concurrency": 2}, {}, (2, 1, True, False)),
        ({"pool": "threads", "concurrency": 5}, {}, (1, 5, False, False)),
        ({"pool": "solo", "concurrency": 9}, {}, (1, 1, True, True)),
        ({"processes": 2, "threads": 4}, {}, (2, 4, False, False)),
        ({"threads": 4}, {}, (1, 4, False, False)),
        ({"processes": 3}, {}, (3, 1, True, False)),
        ({}, {"worker_concurrency": 6}, (6, 1, True, False)),
        ({}, {"worker_pool": "threads", "worker_concurrency": 6}, (1, 6, False, False)),
    ],
)
def test_pools_have_their_shapes(options, conf, shape):
    node = planned(conf=conf, **options)
    assert (node.engines, node.slots, node.inline, node.in_process) == shape


@pytest.mark.parametrize("cores", [{0}, {2, 3, 5}])
def test_there_is_an_engine_for_each_core_that_the_process_may_use(monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores, raising=False)
    assert planned().engines == len(cores)


@pytest.mark.parametrize(
    ("options", "pool"),
    [
        ({}, "prefork"),
        ({"processes": 2, "threads": 4}, "threads"),
        ({"threads": 4}, "threads"),
        ({"pool": "solo"}, "solo"),
    ],
)
def test_a_pool_has_the_name_of_its_shape(options, pool):
    assert planned(**options).pool == pool


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pool": "gevent"}, r"no pool 'gevent'; known: prefork.*Write `async def` tasks instead"),
        ({"pool": "fast"}, r"no pool 'fast'; known: prefork, threads, solo\."),
        ({"concurrency": -1}, "concurrency must be at least 1, not -1"),
        ({"threads": -2}, "threads must be at least 1, not -2"),
        ({"conf": {"worker_async_concurrency": 0}}, "worker_async_concurrency must be at least 1, not 0"),
        ({"conf": {"worker_async_concurrency": 10**20}}, "lower worker_concurrency or worker_async_concurrency"),
        ({"concurrency": 10**20}, "lower worker_concurrency or worker_async_concurrency"),
        ({"threads": 10**20}, "lower worker_concurrency or worker_async_concurrency"),
        ({"conf": {"worker_health_file": "/"}}, "worker_health_file cannot be '/': / is a directory. Name a file"),
        ({"conf": {"worker_health_file": "/nowhere/a"}}, "'/nowhere/a': in /nowhere no file can be made .No such file"),
        ({"conf": {"worker_health_file": "/dev/null/a"}}, "in /dev/null no file can be made"),
        ({"conf": {"worker_health_file": "a\0b"}}, "embedded null byte"),
        ({"conf": {"accept_content": ["json", "nope"]}}, "accept_content: unknown serializer 'nope'"),
        ({"conf": {"result_serializer": "nope"}}, "result_serializer: unknown serializer 'nope'"),
        ({"conf": {"task_serializer": "nope"}}, "task_serializer: unknown serializer 'nope'"),
        ({"conf": {"worker_pool_start_method": "teleport"}}, "must be fork or spawn, not 'teleport'"),
        ({"conf": {"broker_transport_options": {"visibility_timeout": 0}}}, "above 0, not 0"),
        ({"conf": {"broker_transport_options": {"visibility_timeout": "long"}}}, "above 0, not 'long'"),
        ({"conf": {"broker_transport_options": {"visibility_timeout": float("nan")}}}, "above 0, not nan"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_what_can(options, says):
    with pytest.raises(ImproperlyConfigured, match=says):
        planned(**options)


@pytest.mark.parametrize(
    ("conf", "lease"),
    [({}, 30.0), ({"worker_lease": 12}, 12.0), ({"broker_transport_options": {"visibility_timeout": 3600}}, 3600.0)],
)
def test_the_lease_is_celery_s_visibility_timeout_where_that_is_set(conf, lease):
    assert planned(conf=conf).lease == lease


def test_the_log_file_is_named_for_the_node():
    node = planned(hostname="images@box", logfile="/log/%n.log")
    assert (node.nodename, node.logfile) == ("images@box", "/log/images.log")


def test_the_plan_carries_the_settings_of_the_command_line_for_engines_that_start_anew():
    settings = Settings(task_acks_late=False)
    settings.read({"broker_url": "redis://there/0"}, layer=Layer.COMMAND_LINE, source="the command line")
    assert plan(WorkerOptions(), settings, queues=("celery",)).settings == {"broker_url": "redis://there/0"}
