import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import exceptions
from celeriac.exceptions import DecodeError, RemoteError
from celeriac.wire import errors


class Outer:
    class Inner(Exception):
        pass


class Picky(Exception):
    def __init__(self, one, *, two):
        super().__init__(one)
        self.two = two


class Mute:
    def __repr__(self):
        raise RuntimeError


def back(exc):
    return errors.load(errors.dump(exc))


@pytest.mark.parametrize(
    "exc", [ValueError("bad", 3), KeyError("k"), Outer.Inner("deep"), SystemExit(1), OSError(2, "x")]
)
def test_an_exception_that_both_sides_know_comes_back_as_itself(exc):
    again = back(exc)
    assert (type(again), again.args) == (type(exc), exc.args)


@pytest.mark.parametrize(
    ("exc", "module", "name"),
    [
        (exceptions.TaskRevokedError("revoked"), "celery.exceptions", "TaskRevokedError"),
        (exceptions.ChordError("c"), "celery.exceptions", "ChordError"),
        (exceptions.CeleriacError("c"), "celery.exceptions", "CeleryError"),
        (exceptions.SoftTimeLimitExceeded(3), "billiard.exceptions", "SoftTimeLimitExceeded"),
        (exceptions.WorkerLostError("w"), "billiard.exceptions", "WorkerLostError"),
        (exceptions.OperationalError("o"), "kombu.exceptions", "OperationalError"),
        (exceptions.EncodeError("e"), "kombu.exceptions", "EncodeError"),
        (exceptions.BrokerUnavailable("b"), "celeriac.exceptions", "BrokerUnavailable"),
        (ValueError("v"), "builtins", "ValueError"),
    ],
)
def test_our_classes_go_out_under_the_names_that_stock_clients_know(exc, module, name):
    dumped = errors.dump(exc)
    assert (dumped["exc_module"], dumped["exc_type"]) == (module, name)
    assert type(errors.load(dumped)) is type(exc)


@pytest.mark.parametrize("name", ["SoftTimeLimitExceeded", "OperationalError", "ContentDisallowed"])
def test_names_that_celery_offers_a_second_time_are_ours_too(name):
    error = errors.load({"exc_type": name, "exc_message": ["m"], "exc_module": "celery.exceptions"})
    assert type(error) is getattr(exceptions, name)


def test_arguments_that_cannot_be_written_go_as_their_repr():
    dumped = errors.dump(ValueError({1}, b"\xff", Mute(), ValueError("inner")))
    assert dumped["exc_message"] == ["{1}", b"\xff", "<Mute: repr failed with RuntimeError>", "ValueError('inner')"]


def test_an_unknown_class_becomes_a_stand_in_of_the_same_name():
    error = errors.load({"exc_type": "A.CardDeclined", "exc_message": ["no", 5], "exc_module": "shop.errors"})
    assert isinstance(error, RemoteError)
    assert (type(error).__module__, type(error).__qualname__, type(error).__name__) == (
        "shop.errors",
        "A.CardDeclined",
        "CardDeclined",
    )
    assert error.args == ("no", 5)
    assert errors.dump(error) == {"exc_type": "A.CardDeclined", "exc_message": ["no", 5], "exc_module": "shop.errors"}


def test_two_stand_ins_of_one_name_are_of_one_class():
    data = {"exc_type": "Gone", "exc_message": [], "exc_module": "away"}
    assert type(errors.load(data)) is type(errors.load(data))


def test_a_class_that_cannot_be_made_from_its_arguments_becomes_a_stand_in():
    error = back(Picky("one", two=2))
    assert isinstance(error, RemoteError)
    assert (type(error).__name__, error.args) == ("Picky", ("one",))


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("builtins", "int"), ("subprocess", "Popen"), ("sys", "exit")],
)
def test_nothing_but_an_exception_class_is_called(module, name):
    error = errors.load({"exc_type": name, "exc_message": ["echo the sender ran this"], "exc_module": module})
    assert isinstance(error, RemoteError)


def test_a_modules_own_lookup_code_is_not_run(monkeypatch):
    module = ModuleType("shop_lazy")
    asked = []
    module.__getattr__ = lambda name: asked.append(name) or ValueError
    monkeypatch.setitem(sys.modules, "shop_lazy", module)
    error = errors.load({"exc_type": "Anything", "exc_message": [], "exc_module": "shop_lazy"})
    assert isinstance(error, RemoteError)
    assert asked == []


def test_a_module_is_imported_only_where_that_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "shop_on_disk.py").write_text("class Declined(Exception):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = {"exc_type": "Declined", "exc_message": ["no"], "exc_module": "shop_on_disk"}
    assert isinstance(errors.load(data), RemoteError)
    assert "shop_on_disk" not in sys.modules
    assert not isinstance(errors.load(data, allow_import=True), RemoteError)
    monkeypatch.delitem(sys.modules, "shop_on_disk")


def test_a_message_that_is_no_list_is_the_only_argument():
    assert errors.load({"exc_type": "ValueError", "exc_message": "m", "exc_module": "builtins"}).args == ("m",)


def test_an_exception_that_pickle_carried_is_left_alone():
    error = ValueError(1)
    assert errors.load(error) is error


@pytest.mark.parametrize("data", [None, 5, "ValueError", [], {}, {"exc_type": 5}, {"exc_message": []}])
def test_what_describes_no_exception_is_a_decode_error(data):
    with pytest.raises(DecodeError, match="describes no exception"):
        errors.load(data)


names = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\0", "\ud800", "a..b", "builtins", "__class__"]
)


@given(names, names, st.lists(st.none() | st.integers() | st.text()))
def test_any_names_give_an_exception(module, name, args):
    error = errors.load({"exc_type": name, "exc_module": module, "exc_message": args})
    assert isinstance(error, BaseException)
