"""Compressors, by the name that settings use and by the MIME type that the ``compression`` header carries."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from celeriac.exceptions import DecodeError, ImproperlyConfigured
from celeriac.wire.libraries import library

_UNLIMITED = 2**62
_GZIP_OR_ZLIB = 47  # zlib finds out by the header which of the two it is; kombu's "gzip" is zlib's own format


class _Compressor(Struct, frozen=True):
    mime: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], tuple[bytes, bool]]


def compress(body: bytes, name: str) -> tuple[bytes, str]:
    """Compress with the named method and return the MIME type with it.

    Names are gzip (zlib), bzip2 (bzip), lzma (xz), zstd (zstandard), brotli, or their MIME types. Raises
    ImproperlyConfigured for an unknown name, or when the library is missing.
    """
    compressor = _find(name)
    if compressor is None:
        raise ImproperlyConfigured(f"unknown compression {name!r}; known are {', '.join(sorted(_by_name))}")
    return compressor.compress(body), compressor.mime


def decompress(body: bytes, mime: str, *, limit: int | None) -> bytes:
    """Undo `compress`. `limit` is the most bytes that may come out, None for any number.

    Raises DecodeError for an unknown type, for broken or cut bytes, and as soon as the limit is passed, before more
    than that was unpacked; ImproperlyConfigured when the library is missing.
    """
    compressor = _find(mime)
    if compressor is None:
        raise DecodeError(f"unknown compression {mime!r}")
    bound = _UNLIMITED if limit is None else limit
    try:
        plain, ended = compressor.decompress(body, bound + 1)
    except ImproperlyConfigured:
        raise
    except Exception as error:  # each library has its own errors for broken bytes
        raise DecodeError(f"broken {mime} of {len(body)} bytes: {error}") from error
    if len(plain) > bound:
        raise DecodeError(f"{mime} of {len(body)} bytes unpacks to more than the limit of {bound} bytes")
    if not ended:
        raise DecodeError(f"{mime} of {len(body)} bytes ends too early")
    return plain


def _gunzip(body: bytes, size: int) -> tuple[bytes, bool]:
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    plain = stream.decompress(body, size)
    return plain, stream.eof


def _unpack(stream: Any, body: bytes, size: int) -> tuple[bytes, bool]:
    plain: bytes = stream.decompress(body, size)
    return plain, stream.eof


def _unbrotli(body: bytes, size: int) -> tuple[bytes, bool]:
    stream = library("brotli").Decompressor()
    parts: list[bytes] = []
    left = size
    while left > 0 and not stream.is_finished():
        part = stream.process(body, output_buffer_limit=left)
        if not part and stream.can_accept_more_data():
            break  # all was fed, and it wants more
        parts.append(part)
        left -= len(part)
        body = b""
    return b"".join(parts)[:size], bool(stream.is_finished())


def _find(name: str) -> _Compressor | None:
    return _by_name.get(name) or _by_mime.get(name)


_gzip = _Compressor("application/x-gzip", zlib.compress, _gunzip)
_bzip2 = _Compressor("application/x-bz2", bz2.compress, lambda body, size: _unpack(bz2.BZ2Decompressor(), body, size))
_lzma = _Compressor(
    "application/x-lzma", lzma.compress, lambda body, size: _unpack(lzma.LZMADecompressor(), body, size)
)
_zstd = _Compressor(
    "application/zstd",
    lambda body: library("zstd").compress(body),
    lambda body, size: _unpack(library("zstd").ZstdDecompressor(), body, size),
)
_brotli = _Compressor("application/x-brotli", lambda body: library("brotli").compress(body), _unbrotli)

_by_mime = {entry.mime: entry for entry in (_gzip, _bzip2, _lzma, _zstd, _brotli)}
_by_name = {
    "gzip": _gzip,
    "zlib": _gzip,
    "bzip2": _bzip2,
    "bzip": _bzip2,
    "lzma": _lzma,
    "xz": _lzma,
    "zstd": _zstd,
    "zstandard": _zstd,
    "brotli": _brotli,
}
