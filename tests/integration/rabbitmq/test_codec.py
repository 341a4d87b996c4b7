"""What we write another library reads, and the other way round."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame, header

from celeriac.drivers.rabbitmq.contents import Properties, read_properties, write_properties
from celeriac.drivers.rabbitmq.methods import method_frame, read_method
from celeriac.drivers.rabbitmq.tables import TableError, read_table, write_table

TEXT = st.text(max_size=40)


def tables(floats):
    numbers = st.integers(-(2**63), 2**63 - 1) | floats
    values = st.recursive(
        st.none() | st.booleans() | numbers | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
    return st.dictionaries(TEXT, values, max_size=6)


TABLES = tables(st.floats(allow_nan=False))


@given(TABLES)
def test_a_table_comes_back_as_it_was_written(table):
    written = write_table(table)
    assert read_table(b"xx" + written + b"yy", 2) == (table, 2 + len(written))


@given(TABLES)
def test_another_library_reads_our_headers(table):
    payload = write_properties(Properties("application/json", "utf-8", table, 2, 9, "id", "back", "1000"))
    raw = b"\x00\x3c\x00\x00" + (0).to_bytes(8, "big") + payload
    read = header.ContentHeader()
    read.unmarshal(raw)
    properties = read.properties
    assert properties.headers == table
    assert (properties.content_type, properties.content_encoding, properties.delivery_mode) == (
        "application/json",
        "utf-8",
        2,
    )
    assert (properties.priority, properties.correlation_id, properties.reply_to) == (9, "id", "back")
    assert properties.expiration == "1000"


@given(tables(st.floats(allow_nan=False, width=32)))  # it writes them so
def test_we_read_another_librarys_headers(table):
    theirs = header.ContentHeader(0, 7, commands.Basic.Properties(headers=table, priority=3))
    size, read = read_properties(theirs.marshal())
    assert (size, read.headers or {}, read.priority) == (7, table, 3)


@pytest.mark.parametrize(
    ("name", "arguments", "theirs"),
    [
        (
            "queue.declare",
            (0, "q", False, True, False, True, False, {"x-queue-mode": "lazy"}),
            commands.Queue.Declare(0, "q", False, True, False, True, False, {"x-queue-mode": "lazy"}),
        ),
        ("basic.qos", (0, 17, False), commands.Basic.Qos(0, 17, False)),
        ("basic.cancel", ("c", True), commands.Basic.Cancel("c", True)),
        ("basic.nack", (7, True, True), commands.Basic.Nack(7, True, True)),
        (
            "basic.consume",
            (0, "q", "c", False, True, False, True, {}),
            commands.Basic.Consume(0, "q", "c", False, True, False, True, {}),
        ),
        ("connection.tune-ok", (2047, 131072, 60), commands.Connection.TuneOk(2047, 131072, 60)),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_methods_are_written_as_by_another_library(name, arguments, theirs):
    assert method_frame(5, name, *arguments) == frame.marshal(theirs, 5)
    assert read_method(frame.marshal(theirs, 5)[7:-1]).arguments == arguments


def test_what_has_no_form_is_refused_by_its_name():
    with pytest.raises(TableError, match="header 'odd': complex"):
        write_table({"odd": 1j})
    with pytest.raises(TableError, match=r"header 'big'.*64 bits"):
        write_table({"big": 2**64})
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    with pytest.raises(TableError, match="deeper"):
        write_table({"deep": nested})


@given(st.binary(max_size=60))
def test_bytes_that_are_no_table_are_refused_and_nothing_else(data):
    try:
        table, _ = read_table(len(data).to_bytes(4, "big") + data)
    except TableError:
        return
    assert isinstance(table, dict)


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**55, 2**63, 2**64 - 1], ids=str)
def test_a_moment_that_no_calendar_has_is_refused(seconds):
    raw = b"\x01aT" + seconds.to_bytes(8, "big")
    with pytest.raises(TableError, match="moment"):
        read_table(len(raw).to_bytes(4, "big") + raw)


def test_odd_values_become_those_of_json():
    raw = (
        b"\x01aT\x00\x00\x00\x00\x00\x00\x00\x0a"  # a moment
        b"\x01bx\x00\x00\x00\x02\xff\x00"  # bytes
        b"\x01cD\x02\x00\x00\x00\xfa"  # 2.50
        b"\x01df\x3f\x80\x00\x00"  # a float of 32 bits
    )
    table, _ = read_table(len(raw).to_bytes(4, "big") + raw)
    assert table == {"a": "1970-01-01T00:00:10+00:00", "b": "\\xff\x00", "c": 2.5, "d": 1.0}
    assert math.isclose(table["c"], 2.5)
