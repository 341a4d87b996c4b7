"""URLs and options of a Redis server, as Celery writes them, turned into what makes a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from celeriac.drivers.urls import split_url, without_user
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import StoreOptions

__all__ = ["Address", "Node", "parse"]

_TLS_SCHEMES: Final = frozenset({"rediss", "valkeys"})
_SOCKET_SCHEMES: Final = frozenset({"redis+socket", "socket", "unix"})
_CERT_REQS: Final = {
    "none": "none",
    "optional": "optional",
    "required": "required",
    "0": "none",
    "1": "optional",
    "2": "required",
}
_TLS_NAMES: Final = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    }
)


class Node(Struct, frozen=True):
    """One server to connect to; `path` is set for a unix socket, host and port otherwise."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    username: str | None = None
    password: str | None = None


class Address(Struct, frozen=True):
    """Where a store is. `nodes` are tried in order; with `sentinel_name` they are Sentinels that know the primary.

    `tls` holds the settings of a TLS connection under redis-py's names (see `tls.context_of`), None for a plain one;
    `sentinel_tls` those of a connection to a Sentinel. `location` is for people.
    """

    nodes: tuple[Node, ...]
    db: int
    tls: dict[str, Any] | None
    location: str
    sentinel_name: str | None = None
    sentinel_options: dict[str, Any] = {}
    sentinel_tls: dict[str, Any] | None = None


def parse(url: str, options: StoreOptions) -> Address:
    """Read one URL, or several separated by ``;``. Raises `ImproperlyConfigured` with what is wrong in it."""
    parts = [part.strip() for part in url.split(";") if part.strip()]
    read = [_read(part) for part in parts]
    scheme = split_url(parts[0]).scheme.lower()
    db, query = 0, {}
    for _, its_db, its_query in read:
        db = its_db if its_db is not None else db
        query.update(its_query)
    nodes = tuple(node for node, _, _ in read)
    sentinel_name = None
    if scheme == "sentinel":
        sentinel_name = options.transport_options.get("master_name") or query.get("master_name")
        if not sentinel_name:
            raise ImproperlyConfigured(
                "A sentinel:// URL needs the name of the primary: set broker_transport_options (or "
                "result_backend_transport_options) = {'master_name': '...'}."
            )
    tls = _tls(scheme, query, options.tls)
    sentinel_options = dict(options.transport_options.get("sentinel_kwargs") or {})
    return Address(
        nodes=nodes,
        db=db,
        tls=tls,
        location=_location(scheme, nodes, db),
        sentinel_name=sentinel_name,
        sentinel_options=sentinel_options,
        sentinel_tls=_sentinel_tls(tls, sentinel_options),
    )


def _read(url: str) -> tuple[Node, int | None, dict[str, str]]:
    if "://" not in url:
        url = f"redis://{url}"
    parts = split_url(url)
    scheme = parts.scheme.lower()
    query = dict(parse_qsl(parts.query))
    username = unquote(parts.username) if parts.username else query.get("username")
    password = unquote(parts.password) if parts.password else query.get("password")
    if scheme in _SOCKET_SCHEMES:
        path = unquote(f"/{parts.hostname}{parts.path}" if parts.hostname else parts.path)
        db = query.get("virtual_host") or query.get("db")
        return Node(path=path, username=username, password=password), _db(db, url), query
    try:
        port = parts.port
    except ValueError:  # its text may hold a piece of the password
        raise ImproperlyConfigured(f"The port in {without_user(url)!r} is no number from 0 to 65535.") from None
    default_port = 26379 if scheme == "sentinel" else 6379
    node = Node(parts.hostname or "localhost", port or default_port, None, username, password)
    return node, _db(parts.path.strip("/") or query.get("db"), url), query


def _db(text: str | None, url: str) -> int | None:
    if not text:
        return None
    number = text.strip("/")
    if not (number.isascii() and number.isdigit()):
        raise ImproperlyConfigured(
            f"The database in {without_user(url)!r} must be a number, as in redis://localhost:6379/0."
        )
    return int(number)


def _tls(scheme: str, query: Mapping[str, str], given: bool | Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: FBT001
    """Join what URL and settings say about TLS; certificates and host names are verified unless told otherwise."""
    settings = {_tls_name(key): value for key, value in given.items()} if isinstance(given, Mapping) else {}
    settings.update({key: text for key, text in query.items() if key in _TLS_NAMES})
    if scheme not in _TLS_SCHEMES and given is False:
        return None
    settings["ssl_cert_reqs"] = _cert_reqs(settings.get("ssl_cert_reqs", "required"))
    check = settings.get("ssl_check_hostname", True)
    settings["ssl_check_hostname"] = str(check).lower() not in ("false", "0", "no") and (
        settings["ssl_cert_reqs"] != "none"
    )
    return settings


def _sentinel_tls(tls: dict[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the settings of TLS to the Sentinels: those to the primary, and what `sentinel_kwargs` changes."""
    own = {key: value for key, value in options.items() if key.startswith("ssl_")}
    if tls is None and not options.get("ssl") and not own:
        return None
    return _tls("rediss", {}, {**(tls or {}), **own})


def _tls_name(key: str) -> str:
    name = key if key.startswith("ssl_") else f"ssl_{key}"
    if name not in _TLS_NAMES:
        known = ", ".join(sorted(_TLS_NAMES))
        raise ImproperlyConfigured(f"The TLS settings have an unknown name, {key!r}; known names: {known}.")
    return name


def _cert_reqs(value: object) -> str:
    if value is None:
        return "none"
    # The ssl module's own constants are integers, too; it is not loaded just to know them.
    found = _CERT_REQS.get(str(int(value) if isinstance(value, int) else value).lower().removeprefix("cert_"))
    if found is None:
        raise ImproperlyConfigured(f"ssl_cert_reqs is {value!r}; it must be one of none, optional, required.")
    return found


def _location(scheme: str, nodes: tuple[Node, ...], db: int) -> str:
    first = nodes[0]
    if first.path is not None:
        return f"redis+socket://{first.path}?virtual_host={db}"
    hosts = ";".join(f"{scheme}://{_host(node)}" for node in nodes)
    return f"{hosts}/{db}"


def _host(node: Node) -> str:
    host = f"[{node.host}]" if ":" in node.host else node.host
    return f"{host}:{node.port}"
