import subprocess
import sys

import pytest

from celeriac import Celeriac
from celeriac.exceptions import ImproperlyConfigured

LOAD = """
import sys, threading
from celeriac import Celeriac
app = Celeriac("shop", broker="redis://127.0.0.1:1/0")
assert "hiredis" not in sys.modules
app.stores.load()
assert "hiredis" in sys.modules, "the driver's client library is not loaded"
assert threading.active_count() == 1, "a thread was started"
"""


def test_stores_are_loaded_for_forks_without_a_connection_or_a_thread():
    ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, timeout=15, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_broker_may_be_named_for_reading_and_for_writing():
    url = "memory://named-twice"
    app = Celeriac("shop", broker_read_url=url, broker_write_url=url, set_as_current=False)
    assert app.broker.location == url
    assert not app.stores.uses_default


def test_two_brokers_are_refused():
    app = Celeriac("shop", broker="memory://one", broker_read_url="memory://other", set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match="set broker_url alone"):
        _ = app.broker


@pytest.mark.parametrize("settings", [{}, {"broker": "sqlite:///a.db", "backend": "sqlite:///b.db"}], ids=str)
def test_files_stay_the_same_when_the_process_goes_elsewhere(settings, tmp_path, monkeypatch):
    here = tmp_path / "50% #1?"
    here.mkdir()
    monkeypatch.chdir(here)
    app = Celeriac("shop", set_as_current=False, **settings)
    app.stores.tells_default = False
    assert app.results is not None
    before = [app.broker.location, app.results.location]
    assert str(here) in before[0]
    monkeypatch.chdir("/")
    app.close()
    assert [app.broker.location, app.results.location] == before
    app.stores.forget_parent()
    assert [app.broker.location, app.results.location] == before
    app.close()
