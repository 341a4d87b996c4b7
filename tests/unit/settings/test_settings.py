"""`Settings`: types are checked, sources are ranked, secrets are hidden."""

from __future__ import annotations

import ast
import json
import threading
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings import Layer, Settings
from celeriac.settings.inert import INERT
from celeriac.settings.names import FIELDS, NEW_NAMES, OUR_OWN, canonical, old_name, resembling

SOURCE = Path(__file__).parents[3] / "src" / "celeriac"

HERE = Path(__file__).parent
CHOSEN_OTHERWISE = {"task_acks_late": True}


def test_every_setting_of_celery_exists_with_its_default():
    defaults = json.loads((HERE / "celery_defaults.json").read_text())
    for name, default in defaults.items():
        ours = FIELDS[name].default
        shown = "inf" if ours == float("inf") else list(ours) if isinstance(ours, tuple) else ours
        assert shown == CHOSEN_OTHERWISE.get(name, default), name
    assert len(defaults) == 207


def test_every_old_name_of_celery_is_understood():
    for old, new in json.loads((HERE / "old_names.json").read_text()).items():
        assert NEW_NAMES[old] == canonical(old) == new


def test_every_default_is_of_its_own_type():
    for name, field in FIELDS.items():
        conf = Settings()
        conf[name] = field.default
        assert conf[name] == field.default


def test_the_table_says_of_every_setting_what_it_means():
    assert all(field.doc.endswith(".") for field in FIELDS.values())


def test_settings_without_effect_are_settings_of_celery():
    assert set(INERT) <= set(FIELDS) - OUR_OWN


def test_a_setting_reads_the_same_by_attribute_and_by_key_and_by_old_name():
    conf = Settings(worker_concurrency=3)
    assert conf.worker_concurrency == conf["worker_concurrency"] == conf.CELERYD_CONCURRENCY == 3
    assert conf.get("worker_concurrency") == conf.get("CELERYD_CONCURRENCY") == 3
    assert conf.get("nothing_of_the_kind", 7) == 7


def test_iteration_goes_over_what_was_set():
    conf = Settings({"CELERY_ALWAYS_EAGER": True}, broker_url="memory://")
    assert list(conf) == ["broker_url", "task_always_eager"]
    assert dict(conf) == {"broker_url": "memory://", "task_always_eager": True}
    assert "task_acks_late" in conf
    assert not conf.is_set("task_acks_late")
    assert len(conf) == 2


def test_what_was_set_can_be_taken_back():
    conf = Settings(task_acks_late=False)
    del conf.task_acks_late
    assert conf.task_acks_late is True
    with pytest.raises(AttributeError, match="was not set"):
        del conf.task_acks_late
    with pytest.raises(KeyError):
        del conf["task_acks_late"]


def test_a_default_changed_in_place_counts_as_set_and_stays_in_its_application():
    conf, other = Settings(), Settings()
    conf.task_publish_retry_policy["max_retries"] = 9
    assert conf.table() == {
        "task_publish_retry_policy": {**FIELDS["task_publish_retry_policy"].default, "max_retries": 9}
    }
    assert other.task_publish_retry_policy["max_retries"] == 3
    assert other.table() == {}


@pytest.mark.parametrize(("name", "least"), [("task_max_crashes", 1), ("worker_max_tasks_per_child", 0)])
def test_a_count_below_the_least_is_an_error(name, least):
    assert getattr(Settings({name: least}), name) == least
    with pytest.raises(
        ImproperlyConfigured, match=rf"{name} must be a number of \w+, {least} or more, not {least - 1}"
    ):
        Settings({name: least - 1})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("task_acks_late", "yes", "bool"),
        ("task_acks_late", 1, "bool"),
        ("worker_concurrency", "4", "int"),
        ("worker_concurrency", True, "int"),
        ("result_expires", "1d", "float | None in seconds"),
        ("task_unknown_policy", "ignore", "Literal"),
        ("accept_content", [1], "tuple"),
        ("broker_transport_options", ["a"], "dict"),
        ("timezone", 3, "tzinfo"),
        ("broker_failover_strategy", 3, "Callable"),
    ],
)
def test_a_wrong_type_is_an_error_that_names_setting_type_value_and_source(name, value, expected):
    with pytest.raises(ImproperlyConfigured) as caught:
        Settings().read({name: value}, layer=Layer.CONFIG, source="proj.config")
    for part in (name, expected, repr(value), "proj.config"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("result_expires", timedelta(hours=1), 3600.0),
        ("result_expires", 60, 60.0),
        ("result_expires", None, None),
        ("result_backend_max_retries", float("inf"), float("inf")),
        ("accept_content", ["json", "yaml"], ("json", "yaml")),
        ("accept_content", {"yaml", "json"}, ("json", "yaml")),
        ("imports", "proj.tasks", ("proj.tasks",)),
        ("timezone", UTC, UTC),
        ("task_default_delivery_mode", "transient", "transient"),
        ("task_queues", {"a": {}}, {"a": {}}),
        ("redis_backend_use_ssl", {"ssl_cert_reqs": "none"}, {"ssl_cert_reqs": "none"}),
    ],
)
def test_values_are_taken_over_as_users_write_them(name, value, read):
    conf = Settings()
    conf[name] = value
    assert conf[name] == read
    assert type(conf[name]) is type(read)


def test_a_batch_with_an_error_changes_nothing():
    conf = Settings()
    with pytest.raises(ImproperlyConfigured):
        conf.update(worker_concurrency=2, task_acks_late="yes")
    assert list(conf) == []


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("task_ack_late", "task_acks_late"),
        ("tasks_acks_late", "task_acks_late"),
        ("acks_late", "task_acks_late"),
        ("broker_urls", "broker_url"),
        ("worker_prefetch_multipler", "worker_prefetch_multiplier"),
        ("celery_broker_url", "broker_url"),
        ("celeryd_max_tasks_per_child", "worker_max_tasks_per_child"),
        ("CELERYD_CONCURENCY", "CELERYD_CONCURRENCY"),
        ("CELERY_TASK_ACKS_LAT", "CELERY_TASK_ACKS_LATE"),
    ],
)
def test_a_name_that_resembles_a_setting_is_an_error_that_says_which(wrong, meant):
    with pytest.raises(ImproperlyConfigured, match=rf"Did you mean {meant}\?"):
        Settings({wrong: 1})


@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_a_setting_with_one_letter_left_out_is_never_taken_for_a_plug_in(name, data):
    at = data.draw(st.integers(1, len(name) - 1))
    wrong = name[:at] + name[at + 1 :]
    if len(name) > 8 and canonical(wrong) is None:
        assert resembling(wrong) is not None


@given(st.sampled_from(sorted(FIELDS)))
def test_every_spelling_of_a_setting_means_that_setting(name):
    assert canonical(name) == canonical(f"CELERY_{name.upper()}") == canonical(f"CELERIAC_{name.upper()}") == name
    if name not in OUR_OWN:
        assert canonical(old_name(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "redbeat_redis_url",
        "redbeat_lock_timeout",
        "singleton_backend_url",
        "flower_basic_auth",
        "ONCE",
        "CELERY_ONCE",
        "django_celery_beat_tz_aware",
    ],
)
def test_settings_of_plug_ins_are_kept(name):
    conf = Settings({name: "x"})
    assert conf[name] == getattr(conf, name) == "x"


def test_start_names_what_is_unknown_and_what_has_no_effect():
    conf = Settings(redbeat_key_prefix="rb:", worker_prefetch_multiplier=1, task_acks_late=False, ONCE={})
    assert conf.notices() == [
        f"worker_prefetch_multiplier has no effect: {INERT['worker_prefetch_multiplier']}.",
        "Unknown settings, kept for plug-ins: redbeat_key_prefix.",
    ]


def test_settings_whose_default_happens_anyway_are_named_only_with_another_value():
    assert Settings(enable_utc=True, task_protocol=2).notices() == []
    assert Settings(enable_utc=False).notices() == [f"enable_utc has no effect: {INERT['enable_utc']}."]


def test_every_setting_that_is_not_said_to_be_without_effect_is_read():
    read = {
        node.attr
        for path in SOURCE.rglob("*.py")
        if "settings" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] in ("conf", "_conf")
    }
    assert FIELDS.keys() - INERT.keys() - read == set()
    assert INERT.keys() & read == set()


def test_start_names_an_environment_variable_that_the_code_overrules():
    conf = Settings(broker_url="redis://here")
    conf.read({"CELERY_BROKER_URL": "redis://there"}, layer=Layer.ENVIRONMENT, source="the environment", text=True)
    assert conf.broker_url == "redis://here"
    assert conf.notices() == ["CELERY_BROKER_URL in the environment is overruled: the application sets broker_url."]


def test_two_spellings_with_two_values_are_an_error_that_names_both():
    with pytest.raises(ImproperlyConfigured, match="CELERY_ACKS_LATE and task_acks_late"):
        Settings({"CELERY_ACKS_LATE": True, "task_acks_late": False})


@pytest.mark.parametrize("names", [("CELERY_ACKS_LATE", "task_acks_late"), ("task_acks_late", "CELERY_ACKS_LATE")])
def test_two_spellings_with_one_value_are_one_setting(names):
    assert list(Settings(dict.fromkeys(names, False))) == ["task_acks_late"]


@given(st.permutations(list(Layer)))
def test_the_strongest_source_counts_in_whatever_order_they_are_read(order):
    conf = Settings()
    for layer in order:
        conf.read({"worker_concurrency": int(layer)}, layer=layer, source=layer.name)
    assert conf.worker_concurrency == int(Layer.COMMAND_LINE)
    assert conf.source_of("worker_concurrency") == "COMMAND_LINE"
    assert conf.given(Layer.PYPROJECT) == {"worker_concurrency": int(Layer.PYPROJECT)}


def test_a_namespace_reads_prefixed_names_alone():
    conf = Settings()
    values = {"CELERY_BROKER_URL": "memory://", "BROKER_URL": "redis://other", "CELERY_ALWAYS_EAGER": True, "DEBUG": 1}
    conf.read(values, layer=Layer.CONFIG, source="settings", namespace="CELERY")
    assert dict(conf) == {"broker_url": "memory://", "task_always_eager": True}


def test_a_misspelled_name_in_a_namespace_is_corrected_with_its_prefix():
    with pytest.raises(ImproperlyConfigured, match="Did you mean CELERY_TASK_ACKS_LATE"):
        Settings().read({"CELERY_TASK_ACK_LATE": 1}, layer=Layer.CONFIG, source="settings", namespace="CELERY")


def test_passwords_keys_and_tokens_are_not_shown():
    conf = Settings(
        broker_url="redis://:hunter2@host/1;sentinel://user:hunter2@host",
        result_backend="db+postgresql://u:hunter2@h/d?sslpassword=hunter2",
        broker_transport_options={"sentinel_kwargs": {"password": "hunter2"}, "visibility_timeout": 5},
        security_key_password="hunter2",
        s3_secret_access_key="hunter2",
        redbeat_redis_url="redis://:hunter2@host",
        plugin_api_token="hunter2",
        task_routes=["redis://u:hun/ter@2:hunter2@host"],
    )
    assert "hunter2" not in conf.humanize() + repr(conf) + str(conf.table(with_defaults=True))
    assert "visibility_timeout': 5" in conf.humanize()
    assert "redis://:********@host/1" in conf.humanize()
    assert "hunter2" in conf.humanize(censored=False)


def test_an_error_does_not_show_a_password():
    with pytest.raises(ImproperlyConfigured) as caught:
        Settings(result_backend=["redis://:hunter2@host"])
    assert "hunter2" not in str(caught.value)


def test_the_table_with_defaults_has_every_setting():
    assert set(Settings().table(with_defaults=True)) == set(FIELDS)


def test_a_copy_keeps_values_and_their_sources():
    conf = Settings(task_acks_late=False)
    conf.add_defaults({"worker_concurrency": 9})
    conf.task_publish_retry_policy["max_retries"] = 1
    twin = conf.copy()
    twin.worker_concurrency = 1
    assert twin.task_acks_late is False
    assert twin.task_publish_retry_policy["max_retries"] == 1
    assert (conf.worker_concurrency, twin.worker_concurrency) == (9, 1)


def test_an_unknown_attribute_is_an_attribute_error_with_a_hint():
    with pytest.raises(AttributeError, match="Did you mean task_acks_late"):
        _ = Settings().task_ack_late


def test_a_method_cannot_be_overwritten_by_a_setting():
    with pytest.raises(ImproperlyConfigured, match="cannot be the name"):
        Settings(table=1)


def test_many_threads_may_set_at_once():
    conf = Settings()
    threads = [threading.Thread(target=conf.update, kwargs={f"plugin_{n}": n}) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(conf) == 20


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), -1, -0.5, timedelta(seconds=-1)], ids=str)
@pytest.mark.parametrize(
    "name", ["worker_lease", "worker_shutdown_grace", "result_expires", "task_time_limit", "broker_publish_timeout"]
)
def test_a_span_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} must be a number of seconds, .* it was set in"):
        Settings({name: value})


@pytest.mark.parametrize("name", ["worker_lease", "broker_publish_timeout", "broker_connection_timeout"])
@pytest.mark.parametrize("value", [0, float("inf")], ids=str)
def test_a_span_that_everything_waits_on_is_neither_nothing_nor_endless(name, value):
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} must be"):
        Settings({name: value})


@pytest.mark.parametrize(
    "name", ["worker_lease", "result_default_expires", "broker_publish_timeout", "task_time_limit"]
)
def test_a_span_that_no_timer_can_count_is_refused_by_name(name):
    with pytest.raises(
        ImproperlyConfigured, match=rf"^{name} must be less than a hundred years, not 1e\+20; it was set"
    ):
        Settings({name: 1e20})


def test_a_measure_that_is_no_span_is_not_negative_either():
    with pytest.raises(ImproperlyConfigured, match="result_max_bytes must be a number of bytes, 0 or more, not -1"):
        Settings(result_max_bytes=-1)


def test_endless_means_none_where_a_setting_may_be_none():
    assert Settings(worker_shutdown_grace=float("inf")).worker_shutdown_grace is None


def test_a_wrong_span_is_named_as_it_was_spelled():
    with pytest.raises(ImproperlyConfigured, match=r"^CELERY_TASK_RESULT_EXPIRES must be a number of seconds"):
        Settings(CELERY_TASK_RESULT_EXPIRES=-1)


@pytest.mark.parametrize("wrong", [3, 2.5, True])
def test_routes_that_can_be_none_are_refused_when_they_are_set(wrong):
    conf = Settings()
    with pytest.raises(ImproperlyConfigured, match=r"task_routes must be .* it was set in"):
        conf.task_routes = wrong


class _Router:
    def route_for_task(self, name: str) -> str:
        return name


@pytest.mark.parametrize(
    "routes", [None, {"a.*": "q"}, [("a.*", "q")], (("a.*", "q"),), len, "proj.routes.find", _Router()]
)
def test_routes_of_every_kind_are_taken(routes):
    conf = Settings()
    conf.task_routes = routes
    assert conf.task_routes == (tuple(routes) if isinstance(routes, list) else routes)
