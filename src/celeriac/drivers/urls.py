"""Taking the URL of a store apart."""

from __future__ import annotations

from typing import cast
from urllib.parse import SplitResult, urlsplit

from celeriac.exceptions import ImproperlyConfigured


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL. Raises `ImproperlyConfigured`, without its password, when it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may hold the password
        parts = None
    if parts is None or parts.fragment:
        raise ImproperlyConfigured(
            f"{without_user(url)!r} is no URL of a store. An address with colons stands in brackets, as in"
            " redis://[::1]:6379/0; in names and passwords write [ ] / ? # @ and % as %5B %5D %2F %3F %23 %40 %25."
        )
    return parts


def plain_host(host: str) -> str:
    """Return a host's name as the resolver shall have it: bytes, which the socket module takes too, where it is ASCII.

    For a name that is text Python loads its tables of international names, some 250 KiB in each process.
    """
    return cast("str", host.encode()) if host.isascii() else host


def without_user(url: str) -> str:
    """Return the URL without user, password and query, for people; also where a password was written wrongly."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
