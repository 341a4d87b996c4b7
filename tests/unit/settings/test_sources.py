"""Where settings are read from."""

from __future__ import annotations

import sys
import textwrap
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings import Settings
from celeriac.settings.sources import (
    read_arguments,
    read_default_module,
    read_environment,
    read_object,
    read_pyproject,
)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that can be imported, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_is_read_without_its_imports_functions_and_private_names(module):
    module(
        "proj_config",
        """
        import os
        from datetime import timedelta
        _private = 1
        broker_url = "memory://"
        CELERY_ALWAYS_EAGER = True
        result_expires = timedelta(minutes=1)
        default_exchange = object()
        plugin_setting = "kept"
        def helper(): ...
        class Helper: ...
        """,
    )
    conf = Settings()
    assert read_object(conf, "proj_config")
    assert dict(conf) == {
        "broker_url": "memory://",
        "plugin_setting": "kept",
        "result_expires": 60.0,
        "task_always_eager": True,
    }
    assert conf.source_of("broker_url") == "proj_config"


@pytest.mark.parametrize("path", ["two_configs:Production", "two_configs.Production"])
def test_an_attribute_of_a_module_is_read(module, path):
    module("two_configs", "class Production:\n    broker_url = 'memory://'\n")
    conf = Settings()
    read_object(conf, path)
    assert conf.broker_url == "memory://"


@pytest.mark.parametrize("source", [{"CELERY_BROKER_URL": "m://"}, SimpleNamespace(CELERY_BROKER_URL="m://", OTHER=1)])
def test_a_mapping_and_an_object_are_read_with_a_namespace(source):
    conf = Settings()
    read_object(conf, source, namespace="CELERY")
    assert dict(conf) == {"broker_url": "m://"}


@pytest.mark.parametrize("path", ["no_such_module", "no_such.module", "json:no_such", "no_such_module:attr"])
def test_a_configuration_that_does_not_exist_is_an_error_unless_silent(path):
    with pytest.raises(ImproperlyConfigured, match=path.split(":")[0].split(".")[0]):
        read_object(Settings(), path)
    assert not read_object(Settings(), path, silent=True)


def test_an_error_inside_a_configuration_is_raised_even_when_silent(module):
    module("broken_config", "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        read_object(Settings(), "broken_config", silent=True)


def test_the_module_in_the_working_directory_is_found(module, tmp_path):
    module("celeryconfig", "worker_concurrency = 5")
    conf = Settings()
    assert read_default_module(conf, environ={}, directory=tmp_path) == "celeryconfig"
    assert conf.worker_concurrency == 5


def test_our_own_module_comes_before_celerys(module, tmp_path):
    module("celeryconfig", "worker_concurrency = 5")
    module("celeriacconfig", "worker_concurrency = 6")
    conf = Settings()
    assert read_default_module(conf, environ={}, directory=tmp_path) == "celeriacconfig"
    assert conf.worker_concurrency == 6


def test_no_module_in_the_working_directory_is_fine(tmp_path):
    assert read_default_module(Settings(), environ={}, directory=tmp_path) is None


def test_a_module_that_the_environment_names_must_exist(module, tmp_path):
    module("named_config", "worker_concurrency = 7")
    conf = Settings()
    assert read_default_module(conf, environ={"CELERY_CONFIG_MODULE": "named_config"}, directory=tmp_path)
    assert conf.worker_concurrency == 7
    with pytest.raises(ImproperlyConfigured, match="not_there"):
        read_default_module(conf, environ={"CELERY_CONFIG_MODULE": "not_there"}, directory=tmp_path)


def test_the_environment_is_read_as_text():
    conf = Settings()
    environ = {
        "CELERY_BROKER_URL": "memory://",
        "CELERY_TASK_ACKS_LATE": "not read, as Celery does not",
        "CELERIAC_TASK_ACKS_LATE": "false",
        "CELERIAC_WORKER_CONCURRENCY": "4",
        "CELERIAC_ACCEPT_CONTENT": "json, yaml",
        "CELERIAC_BROKER_TRANSPORT_OPTIONS": '{"visibility_timeout": 5}',
        "CELERIAC_RESULT_EXPIRES": "none",
        "CELERIAC_RESULT_BACKEND_MAX_RETRIES": "inf",
        "CELERIAC_TASK_DEFAULT_DELIVERY_MODE": "1",
        "CELERIAC_RESULT_BACKEND": "",
        "CELERIAC_APP": "proj:app",
        "PATH": "/bin",
    }
    read_environment(conf, environ)
    assert dict(conf) == {
        "accept_content": ("json", "yaml"),
        "broker_transport_options": {"visibility_timeout": 5},
        "broker_url": "memory://",
        "result_backend_max_retries": float("inf"),
        "result_expires": None,
        "task_acks_late": False,
        "task_default_delivery_mode": 1,
        "worker_concurrency": 4,
    }


def test_a_misspelled_variable_is_an_error():
    with pytest.raises(ImproperlyConfigured, match="Did you mean CELERIAC_WORKER_CONCURRENCY"):
        read_environment(Settings(), {"CELERIAC_WORKER_CONCURENCY": "4"})


def test_a_variable_of_the_wrong_type_is_an_error_that_names_it():
    with pytest.raises(ImproperlyConfigured, match=r"CELERIAC_WORKER_CONCURRENCY .*must be int.*'many'.*environment"):
        read_environment(Settings(), {"CELERIAC_WORKER_CONCURRENCY": "many"})


def test_two_variables_that_disagree_are_an_error():
    with pytest.raises(ImproperlyConfigured, match="same setting"):
        read_environment(Settings(), {"CELERY_BROKER_URL": "a://", "CELERIAC_BROKER_URL": "b://"})


def test_the_nearest_pyproject_upwards_is_read(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    path = tmp_path / "pyproject.toml"
    path.write_text(
        '[tool.celeriac]\napp = "proj:app"\nworker_concurrency = 3\nresult_expires = inf\n'
        '[tool.celeriac.task_routes]\n"a.*" = "q"\n[tool.celeriac.worker]\nloglevel = "info"\n'
    )
    conf = Settings()
    assert read_pyproject(conf, inner) == path
    assert dict(conf) == {"result_expires": None, "task_routes": {"a.*": "q"}, "worker_concurrency": 3}


def test_a_pyproject_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool")
    with pytest.raises(ImproperlyConfigured, match=r"pyproject\.toml cannot be read"):
        read_pyproject(Settings(), tmp_path)


def test_the_command_line_is_read_as_text():
    conf = Settings(worker_concurrency=1)
    read_arguments(conf, ["worker_concurrency=8", "CELERY_ALWAYS_EAGER=yes", "task_default_queue=a=b"])
    assert dict(conf) == {"task_always_eager": True, "task_default_queue": "a=b", "worker_concurrency": 8}


@pytest.mark.parametrize("argument", ["worker_concurrency", "=3", "worker_concurrency=x"])
def test_a_command_line_setting_that_cannot_be_read_is_an_error(argument):
    with pytest.raises(ImproperlyConfigured):
        read_arguments(Settings(), [argument])


@given(st.integers(-(2**62), 2**62), st.floats(0.1, 3e9), st.booleans())
def test_numbers_and_truth_survive_being_text(number, seconds, truth):
    conf = Settings()
    read_arguments(conf, [f"worker_concurrency={number}", f"worker_lease={seconds}", f"task_acks_late={truth}"])
    assert (conf.worker_concurrency, conf.worker_lease, conf.task_acks_late) == (number, seconds, truth)
