import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import exceptions
from celeriac.exceptions import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from celeriac.wire import content, libraries

ALL = content.accepted(["json", "pickle", "yaml", "msgpack", "raw"])
VALUE = {"a": [1, 2.5, None, True, "päron"]}


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
def test_a_value_survives_each_serializer(serializer):
    written = content.dumps(VALUE, serializer)
    assert content.loads(written.body, written.content_type, written.content_encoding, accept=ALL) == VALUE
    assert (written.content_type, written.content_encoding) == content.type_of(serializer)


@pytest.mark.parametrize(
    ("value", "encoding"), [("päron", "utf-8"), (b"\xff", "binary"), (b"text", "binary"), ("", "utf-8")]
)
def test_raw_carries_text_and_bytes_as_they_are(value, encoding):
    written = content.dumps(value, "raw")
    assert written.content_encoding == encoding
    assert content.loads(written.body, written.content_type, encoding, accept=ALL) == value


def test_raw_takes_nothing_else():
    with pytest.raises(EncodeError, match="not int"):
        content.dumps(1, "raw")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("celery.exceptions", "MaxRetriesExceededError"),
        ("celery.exceptions", "SoftTimeLimitExceeded"),
        ("billiard.exceptions", "SoftTimeLimitExceeded"),
        ("kombu.exceptions", "OperationalError"),
    ],
)
def test_an_exception_that_a_stock_worker_pickled_is_ours_without_celery_here(module, name):
    body = f"c{module}\n{name}\n(Vwhy\ntR.".encode()
    found = content.loads(body, content.PICKLE, "binary", accept=ALL)
    assert (type(found), found.args) == (getattr(exceptions, name), ("why",))


def test_pickle_is_written_so_that_every_supported_python_reads_it():
    assert content.dumps(VALUE, "pickle").body[:2] == b"\x80\x04"


@pytest.mark.parametrize(
    ("serializer", "value", "message"),
    [
        ("json", {"a": [0, object()]}, "cannot write object at a.1 as json"),
        ("json", object(), "cannot write object as json"),
        ("json", {"a": {1: {2}}}, "cannot write set at a.1 as json"),
        ("yaml", [object()], "cannot write object at 0 as yaml"),
        ("msgpack", {"k": {1}}, "cannot write set at k as msgpack"),
        ("pickle", [lambda: 1], "cannot write function at 0 as pickle"),
    ],
)
def test_the_error_names_the_type_and_the_place(serializer, value, message):
    with pytest.raises(EncodeError, match=message):
        content.dumps(value, serializer)


def test_a_circle_is_an_encode_error():
    circle = {}
    circle["self"] = [circle]
    with pytest.raises(EncodeError):
        content.dumps(circle, "json")


def test_a_value_that_is_too_deep_is_an_encode_error():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(EncodeError):
        content.dumps(deep, "json")


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('the sender ran code here')",)


@pytest.mark.parametrize("serializer", ["pickle", "yaml", "msgpack", "raw"])
def test_a_type_that_is_not_accepted_is_refused_unread(serializer):
    body = pickle.dumps(Bomb())
    content_type, encoding = content.type_of(serializer)
    with pytest.raises(ContentDisallowed, match="accept_content allows json"):
        content.loads(body, content_type, encoding, accept=content.accepted(["json"]))


def test_yaml_builds_no_objects():
    with pytest.raises(DecodeError):
        content.loads(b"!!python/object/apply:os.getcwd []", content.YAML, "utf-8", accept=ALL)


@pytest.mark.parametrize("content_type", ["", "application/unheard-of", "text/plain"])
def test_an_unknown_type_is_refused(content_type):
    with pytest.raises(ContentDisallowed):
        content.loads(b"{}", content_type, "utf-8", accept=ALL)


def test_an_accepted_type_without_serializer_is_a_mistake_of_the_settings():
    with pytest.raises(ImproperlyConfigured, match="application/odd"):
        content.loads(b"{}", "application/odd", "utf-8", accept=frozenset({"application/odd"}))


@pytest.mark.parametrize("body", [b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b"1" * 10_000, b"\xff", b""])
def test_broken_or_hostile_json_is_a_decode_error(body):
    with pytest.raises(DecodeError, match="broken application/json"):
        content.loads(body, content.type_of("json")[0], "utf-8", accept=ALL)


@given(
    st.binary(), st.sampled_from(["json", "yaml", "msgpack", "raw"]), st.sampled_from(["utf-8", "binary", "nonsense"])
)
def test_any_bytes_are_read_or_are_a_decode_error(body, serializer, encoding):
    try:
        content.loads(body, content.type_of(serializer)[0], encoding, accept=ALL)
    except DecodeError:
        pass


def test_names_and_types_both_say_what_is_accepted():
    assert content.accepted(["json", "application/x-yaml"]) == {"application/json", "application/x-yaml"}
    assert content.accepted([]) == frozenset()


def test_an_unknown_name_lists_those_that_are_known():
    with pytest.raises(ImproperlyConfigured, match=r"unknown serializer 'jsn'; known are json, msgpack, pickle, raw"):
        content.accepted(["jsn"])
    with pytest.raises(ImproperlyConfigured, match="unknown serializer 'jsn'"):
        content.dumps(1, "jsn")


def test_a_registered_serializer_is_found_by_name_and_by_type():
    content.register("reverse", lambda text: text[::-1], lambda body: body.decode()[::-1], "application/x-reverse")
    written = content.dumps("abc", "reverse")
    assert written == content.Content(b"cba", "application/x-reverse", "utf-8")
    assert content.loads(b"cba", "application/x-reverse", "utf-8", accept=content.accepted(["reverse"])) == "abc"
    assert content.serializer_of("application/x-reverse") == "reverse"


def test_the_serializer_behind_a_type_can_be_asked_for():
    assert content.serializer_of("application/x-yaml") == "yaml"
    assert content.serializer_of("application/unheard-of") is None


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(libraries._MODULES, "yaml", ("no_such_library", "celeriac[yaml]"))
    with pytest.raises(ImproperlyConfigured, match=r"pip install celeriac\[yaml\]"):
        content.dumps([1], "yaml")
    with pytest.raises(ImproperlyConfigured, match=r"pip install celeriac\[yaml\]"):
        content.loads(b"[1]", content.YAML, "utf-8", accept=ALL)


def test_optional_libraries_are_not_loaded_before_they_are_needed():
    code = "import sys, celeriac.wire.content, celeriac.wire.compression; print({'yaml', 'msgpack'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "set()\n"
