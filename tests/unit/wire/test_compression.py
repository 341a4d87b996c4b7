import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, ImproperlyConfigured
from celeriac.wire import compression

NAMES = ["gzip", "zlib", "bzip2", "bzip", "lzma", "xz"]
MIMES = ["application/x-gzip", "application/x-bz2", "application/x-lzma"]


@pytest.mark.parametrize("name", NAMES + MIMES)
def test_bytes_survive_each_method(name):
    body, mime = compression.compress(b"words " * 100, name)
    assert mime in MIMES
    assert len(body) < 200
    assert compression.decompress(body, mime, limit=None) == b"words " * 100
    assert compression.decompress(body, mime, limit=600) == b"words " * 100


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_a_bomb_is_stopped_at_the_limit(name):
    body, mime = compression.compress(bytes(5_000_000), name)
    with pytest.raises(DecodeError, match="more than the limit of 1000 bytes"):
        compression.decompress(body, mime, limit=1000)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_one_byte_over_the_limit_is_too_much(name):
    body, mime = compression.compress(b"12345", name)
    assert compression.decompress(body, mime, limit=5) == b"12345"
    with pytest.raises(DecodeError, match="limit of 4 bytes"):
        compression.decompress(body, mime, limit=4)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_nothing_is_compressed_to_something_and_back(name):
    body, mime = compression.compress(b"", name)
    assert compression.decompress(body, mime, limit=0) == b""


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma"])
def test_cut_bytes_are_refused(name):
    body, mime = compression.compress(b"words " * 100, name)
    with pytest.raises(DecodeError):
        compression.decompress(body[:-4], mime, limit=None)


def test_what_the_gzip_program_wrote_is_read_too():
    assert compression.decompress(gzip.compress(b"abc"), "application/x-gzip", limit=10) == b"abc"


def test_an_unknown_method_is_a_mistake_of_the_settings_or_of_the_sender():
    with pytest.raises(ImproperlyConfigured, match="unknown compression 'zip'; known are brotli"):
        compression.compress(b"", "zip")
    with pytest.raises(DecodeError, match="unknown compression"):
        compression.decompress(b"", "application/zip", limit=None)


@pytest.mark.parametrize(("name", "module"), [("zstd", "backports.zstd"), ("brotli", "brotli")])
def test_optional_methods_keep_to_the_limit_where_their_library_is_installed(name, module):
    pytest.importorskip(module)
    body, mime = compression.compress(b"words " * 1000, name)
    for limit in (None, 6000):
        assert compression.decompress(body, mime, limit=limit) == b"words " * 1000
    for broken, limit in ((body, 5999), (body[:-3], None), (b"junk", None), (b"", None)):
        with pytest.raises(DecodeError):
            compression.decompress(broken, mime, limit=limit)


@given(st.binary(), st.sampled_from(MIMES))
def test_any_bytes_are_unpacked_or_are_a_decode_error(body, mime):
    try:
        assert len(compression.decompress(body, mime, limit=100)) <= 100
    except DecodeError:
        pass
