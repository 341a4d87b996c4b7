"""The suite that every store must pass, for our drivers and for anyone else's.

`broker`, `dead_letters`, `pubsub`, `coordinator`, `results`, `groups`, `revocations`, `listening` and `faults` hold
plain pytest functions. To run them against a store of your own, import them into a test module and supply the fixtures
that they ask for::

    # conftest.py
    import pytest
    pytest.register_assert_rewrite("celeriac.testing.conformance")
    pytest_plugins = ["celeriac.testing.conformance.fixtures"]

    @pytest.fixture
    def case(tmp_path, clock): return Case(name="mine", open=..., inject_raw=...)

    # test_mine.py
    from celeriac.testing.conformance.broker import *
    from celeriac.testing.conformance.results import *

`Case` says what is to be supplied; `fixtures` makes the other fixtures (`clock`, `reopen`, `broker`, `dead_letters`,
`pubsub`, `coordinator`, `results`, `groups`, `revocations`) from it, closes what was opened, and looks for leaks after
each test.
"""

from celeriac.testing.conformance.case import Case

__all__ = ["Case"]
