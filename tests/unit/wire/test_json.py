import enum
import math
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.wire import json

NOW = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)


class Colour(str, enum.Enum):  # noqa: UP042  users have them
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Count(int):
    pass


Point = namedtuple("Point", "x y")  # noqa: PYI024  users have them


def back(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        NOW,
        NOW.astimezone(timezone(timedelta(hours=-3, minutes=-30))),
        NOW.replace(tzinfo=None),
        date(2026, 11, 22),
        time(1, 2, 3, 4),
        time(1, 2, tzinfo=UTC),
        Decimal("1.10"),
        UUID(int=9),
        b"text",
        b"",
        b"\xff\xfe",
        [{"a": (datetime(2026, 1, 1),)}][0]["a"][0],
        2**64,
        -(2**200),
        "\ud800",
        math.inf,
        "☃",
        '\x00\x7f\u2028"\\',
    ],
)
def test_a_value_keeps_its_type_wherever_it_stands(value):
    for wrapped in (value, [value], {"key": value}, [1, {"deep": [value]}]):
        again = back(wrapped)
        assert again == wrapped
        assert repr(again) == repr(wrapped)


def test_nan_stays_nan():
    assert json.dumps([float("nan"), 1]) == b"[NaN,1]"
    assert math.isnan(back({"a": [float("nan")]})["a"][0])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Name("n"), "n"),
        (Count(7), 7),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        ({2.5: 1, 7: 2}, {"2.5": 1, "7": 2}),
        ({Name("n"): 1}, {"n": 1}),
    ],
)
def test_kin_of_plain_types_are_written_as_the_plain_type(value, plain):
    assert back(value) == plain
    assert back([value]) == [plain]


def test_a_json_method_says_how_its_object_is_written():
    class Basket:
        def __json__(self):
            return {"fruit": Decimal(2)}

    assert back([Basket()]) == [{"fruit": Decimal(2)}]


def test_lazy_text_of_django_is_written_as_text(monkeypatch):
    class Promise:
        def __str__(self):
            return "translated"

    module = ModuleType("django.utils.functional")
    module.Promise = Promise
    monkeypatch.setitem(sys.modules, "django.utils.functional", module)
    assert back([Promise()]) == ["translated"]


def test_a_registered_type_is_carried_both_ways():
    class Money:
        def __init__(self, cents):
            self.cents = cents

    json.register_type(Money, "test.money", lambda money: money.cents, Money)
    again = back({"price": Money(5)})["price"]
    assert (type(again), again.cents) == (Money, 5)


def test_a_type_registered_without_marker_is_written_bare():
    class Celsius:
        pass

    json.register_type(Celsius, None, lambda _: 21.5)
    assert back([Celsius()]) == [21.5]


@pytest.mark.parametrize("value", [object(), {1, 2}, {(1, 2): 3}, [object], 1j])
def test_what_has_no_form_in_json_is_refused(value):
    with pytest.raises(TypeError):
        json.dumps(value)


def test_a_value_that_contains_itself_is_refused():
    circle = []
    circle.extend([circle] * 50)
    with pytest.raises(ValueError, match="Circular"):
        json.dumps(circle)


@pytest.mark.parametrize(
    "forged",
    [
        {"__type__": "nobody.knows", "__value__": 1},
        {"__type__": "datetime", "__value__": "no moment"},
        {"__type__": ["x"], "__value__": 1},
        {"__value__": 1, "__type__": None},
    ],
    ids=str,
)
def test_a_dict_that_only_looks_like_a_tagged_value_is_refused(forged):
    for value in (forged, {"deep": [1, (forged,)], "beside": datetime(2026, 1, 1)}):
        with pytest.raises(TypeError, match="tagged value cannot be read"):
            json.dumps(value)


@pytest.mark.parametrize("value", [{"__type__": "x"}, {"__type__": "x", "__value__": 1, "more": 2}, ["__type__"]])
def test_a_dict_with_other_keys_too_comes_back(value):
    assert back({"beside": b"bytes", "value": value}) == {"beside": b"bytes", "value": value}


def test_a_dict_that_is_a_tagged_value_is_read_as_what_it_stands_for_as_by_kombu():
    assert back([{"__type__": "bytes", "__value__": "b"}]) == [b"b"]


def test_an_unknown_marker_is_refused():
    with pytest.raises(ValueError, match="no type is registered"):
        json.loads(b'{"__type__":"nobody.knows","__value__":1}')


@pytest.mark.parametrize("text", [b'{"__type__":1}', b'{"__type__":"interval","every":3}', b'["__type__"]'])
def test_an_object_that_is_not_exactly_tagged_is_left_alone(text):
    assert json.dumps(json.loads(text)) == text


@pytest.mark.parametrize("text", [b"", b"[", b"[1] 2", b'"\xff"', b"\xef\xbb\xbf1", b"nul", b'{"a":}', b'"\x01"'])
def test_broken_text_is_a_value_error(text):
    with pytest.raises(ValueError):
        json.loads(text)


def test_numbers_beyond_a_float_are_read_as_kombu_reads_them():
    assert json.loads(b"1e400") == math.inf


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
tagged = (
    st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.times()
    | st.uuids()
    | st.binary()
    | st.decimals(allow_nan=False)
)
rich = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | tagged,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_any_plain_value_survives(value):
    assert back(value) == value


@given(rich)
def test_any_rich_value_survives(value):
    assert back(value) == value


@given(plain)
def test_both_writers_say_the_same(value):
    import json as stdlib

    assert stdlib.loads(json.dumps(value)) == value
    assert json.loads(stdlib.dumps(value)) == value
