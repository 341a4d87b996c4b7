import subprocess
import sys

LOAD = """
import sys, threading
from celeriac import Celeriac
app = Celeriac("shop", broker="redis://127.0.0.1:1/0")
assert "redis" not in sys.modules
app.stores.load()
assert "redis" in sys.modules, "the driver's client library is not loaded"
assert threading.active_count() == 1, "a thread was started"
"""


def test_stores_are_loaded_for_forks_without_a_connection_or_a_thread():
    ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, timeout=15, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
