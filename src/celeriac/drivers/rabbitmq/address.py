"""URLs of RabbitMQ, as Celery and kombu write them, turned into what makes a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from celeriac.drivers.urls import split_url, without_user
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import StoreOptions

__all__ = ["Address", "Node", "parse"]

_TLS_SCHEMES: Final = frozenset({"amqps"})
_TLS_NAMES: Final = frozenset(
    {"ca_certs", "certfile", "keyfile", "password", "cert_reqs", "server_hostname", "ciphers", "check_hostname"}
)
_VERIFY: Final = {"none": False, "0": False, "optional": True, "1": True, "required": True, "2": True}
_MECHANISMS: Final = frozenset({"PLAIN", "EXTERNAL", "AMQPLAIN"})


class Node(Struct, frozen=True):
    """One server to connect to."""

    host: str
    port: int
    username: str
    password: str
    vhost: str
    uses_tls: bool


class Address(Struct, frozen=True):
    """Where a store is. `nodes` are tried in order; `location` is for people.

    `tls` holds the settings of a TLS connection under the ssl module's names; `heartbeat` is what to ask the server
    for, in seconds, None for what it proposes; `login_method` is a SASL mechanism, None to choose by what there is.
    """

    nodes: tuple[Node, ...]
    tls: dict[str, Any]
    location: str
    heartbeat: float | None = None
    login_method: str | None = None


def parse(url: str, options: StoreOptions) -> Address:
    """Read one URL, or several separated by ``;``. Raises `ImproperlyConfigured` with what is wrong in it."""
    parts = [part.strip() for part in url.split(";") if part.strip()]
    given = dict(options.tls) if isinstance(options.tls, Mapping) else {}
    read = [_read(part, wants_tls=options.tls is not False) for part in parts]
    nodes = tuple(node for node, _ in read)
    query: dict[str, str] = {}
    for _, its in read:
        query.update(its)
    login = options.login_method or options.transport_options.get("login_method") or query.get("login_method")
    if login is not None and str(login).upper() not in _MECHANISMS:
        raise ImproperlyConfigured(f"login_method is {login!r}; known: {', '.join(sorted(_MECHANISMS))}.")
    return Address(
        nodes=nodes,
        tls=_tls(given, query),
        location=";".join(_location(node) for node in nodes),
        heartbeat=_heartbeat(
            query.get("heartbeat", options.transport_options.get("heartbeat", options.heartbeat)), url
        ),
        login_method=str(login).upper() if login else None,
    )


def _read(url: str, *, wants_tls: bool) -> tuple[Node, dict[str, str]]:
    if "://" not in url:
        url = f"amqp://{url}"
    parts = split_url(url)
    uses_tls = wants_tls or parts.scheme.lower() in _TLS_SCHEMES
    try:
        port = parts.port
    except ValueError:  # its text may hold a piece of the password
        raise ImproperlyConfigured(f"The port in {without_user(url)!r} is no number from 0 to 65535.") from None
    vhost = unquote(parts.path[1:]) if parts.path else ""
    node = Node(
        host=parts.hostname or "localhost",
        port=port or (5671 if uses_tls else 5672),
        username=unquote(parts.username) if parts.username else "guest",
        password=unquote(parts.password) if parts.password else ("guest" if not parts.username else ""),
        vhost=vhost or "/",
        uses_tls=uses_tls,
    )
    return node, dict(parse_qsl(parts.query))


def _heartbeat(value: object, url: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 65_535:
        raise ImproperlyConfigured(
            f"The heartbeat of {without_user(url)!r} must be a number of seconds, not {value!r}."
        )
    return seconds


def _tls(given: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """Join what settings and URL say about TLS; certificates and host names are verified unless told otherwise."""
    settings = {key.removeprefix("ssl_"): value for key, value in given.items()}
    settings.update({key.removeprefix("ssl_"): text for key, text in query.items() if key.startswith("ssl_")})
    unknown = settings.keys() - _TLS_NAMES
    if unknown:
        known = ", ".join(sorted(_TLS_NAMES))
        raise ImproperlyConfigured(f"The TLS settings have an unknown name, {min(unknown)!r}; known names: {known}.")
    reqs = settings.pop("cert_reqs", "required")
    text = "none" if reqs is None else str(int(reqs) if isinstance(reqs, int) else reqs).lower().removeprefix("cert_")
    if text not in _VERIFY:
        raise ImproperlyConfigured(f"cert_reqs is {reqs!r}; it must be one of none, optional, required.")
    settings["verify"] = _VERIFY[text]
    check = str(settings.get("check_hostname", True)).lower() not in ("false", "0", "no")
    settings["check_hostname"] = check and settings["verify"]
    return settings


def _location(node: Node) -> str:
    host = f"[{node.host}]" if ":" in node.host else node.host
    vhost = "" if node.vhost == "/" else node.vhost
    return f"{'amqps' if node.uses_tls else 'amqp'}://{host}:{node.port}/{vhost}"
