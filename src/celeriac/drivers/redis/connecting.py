"""How a connection to a Redis server begins: which server, socket, TLS, login."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import closing
from math import isfinite
from typing import Any, Final

from celeriac.drivers.redis.address import Address, Node
from celeriac.drivers.redis.errors import AWAY, Asker, ConnectionLost, NoAnswer, Refusal, WireError
from celeriac.drivers.redis.packing import Command, pack_all
from celeriac.drivers.redis.wire import Reply, Wire
from celeriac.drivers.urls import plain_host
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import StoreOptions

__all__ = ["Connector"]

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""By these TCP finds the dead peer of an idle connection, after 30 + 3 x 5 seconds."""

_ASKER: Final = re.compile(rb"id=(\d+) addr=(\S+)")

_GREETING: Final = 2.0
"""Seconds that a server may take to let us in, which is nothing to do for it. A worker that comes back rests up to 2 s
between tries, and shall work again within 5 s even if its server came back just after it had begun to try."""


class Connector:
    """Makes connections to one store, as its address and the transport options have it. Thread-safe.

    Among several servers the one that served last is tried first.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        given = options.transport_options
        self._address = address
        self._timeout = _seconds(given, "socket_timeout", options.socket_timeout)
        self._connect_timeout = _seconds(given, "socket_connect_timeout", options.connect_timeout)
        self._name = str(given.get("client_name") or options.client_name).replace(" ", "-")
        self._keepalive = _keepalive(given)
        self._first_node = 0

    def open(self, *, resp3: bool) -> Wire:
        """See `Pool.open`."""
        nodes = self._primary() if self._address.sentinel_name else self._address.nodes
        first = self._first_node % len(nodes)
        failure: WireError = ConnectionLost("no server was named")
        for turn in range(len(nodes)):
            place = (first + turn) % len(nodes)
            try:
                wire = self._connect(nodes[place], self._address.tls)
                self._greet(wire, nodes[place], db=self._address.db, resp3=resp3)
            except WireError as error:
                if isinstance(error, Refusal) and error.code not in AWAY:
                    raise
                failure = error
                continue
            self._first_node = place
            return wire
        raise failure

    def _connect(self, node: Node, tls: Mapping[str, Any] | None) -> Wire:
        timeout = min(self._timeout, _GREETING)
        try:
            connected = self._socket(node)
            if tls is None:
                return Wire(connected, timeout)
            # The ssl module takes 3 MiB and 10 ms, and most do without it.
            from celeriac.drivers.redis.tls import TlsWire, wrapped  # noqa: PLC0415

            return TlsWire(wrapped(connected, tls, node.host), timeout)
        except OSError as error:
            where = node.path or f"{node.host}:{node.port}"
            raise ConnectionLost(f"cannot connect to {where}: {error.strerror or error}") from error

    def _socket(self, node: Node) -> socket.socket:
        if node.path is not None:
            connected = socket.socket(socket.AF_UNIX)
        else:
            connected = socket.create_connection((plain_host(node.host), node.port), self._connect_timeout)
        try:
            if node.path is not None:
                connected.settimeout(self._connect_timeout)
                connected.connect(node.path)
            else:
                self._tune(connected)
        except BaseException:
            connected.close()
            raise
        return connected

    def _tune(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._keepalive is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self._keepalive.items():
                connected.setsockopt(socket.IPPROTO_TCP, option, value)

    def _greet(self, wire: Wire, node: Node, *, db: int, resp3: bool = False) -> None:
        """Log in, choose the database, and say who we are, in one trip."""
        commands: list[Command] = [("CLIENT", "SETNAME", self._name), ("CLIENT", "INFO")]
        if db:
            commands.insert(0, ("SELECT", db))
        user = () if node.username is None else (node.username,)
        if resp3:
            login = () if node.password is None else ("AUTH", *(user or ("default",)), node.password)
            commands.insert(0, ("HELLO", 3, *login))
        elif node.password is not None:
            commands.insert(0, ("AUTH", *user, node.password))
        try:
            wire.send(pack_all(commands))
            *needed, _, told = _answers(wire, len(commands))  # the last two an ACL or a proxy may refuse
            for reply in needed:
                if isinstance(reply, Refusal):
                    raise reply
            wire.limit(self._timeout)
        except BaseException:
            wire.close()
            raise
        wire.asker = _asker(told)

    def _primary(self) -> tuple[Node, ...]:
        """Ask the Sentinels, one after the other, who the primary is; its user and password are those of the URL."""
        given = self._address.sentinel_options
        user, password = given.get("username"), given.get("password")
        said: list[str] = []
        for node in self._address.nodes:
            sentinel = Node(node.host, node.port, None, user, password)
            try:
                wire = self._connect(sentinel, self._address.sentinel_tls)
                self._greet(wire, sentinel, db=0)
                with closing(wire):
                    found = wire.call(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.sentinel_name))
            except WireError as error:
                said.append(f"{node.host}:{node.port}: {error}")
                continue
            if found:
                first = self._address.nodes[0]
                return (Node(found[0].decode(), int(found[1]), None, first.username, first.password),)
            said.append(f"{node.host}:{node.port} knows no primary {self._address.sentinel_name!r}")
        raise ConnectionLost(f"no Sentinel named the primary ({'; '.join(said)})")


def _answers(wire: Wire, count: int) -> list[Reply]:
    """Read the answers to a greeting. Raises the refusal that the server hangs up with: it has no room, or no trust."""
    answers = [wire.read()]
    try:
        while len(answers) < count:
            answers.append(wire.read())
    except ConnectionLost as error:
        if len(answers) == 1 and isinstance(answers[0], Refusal) and not isinstance(error, NoAnswer):
            raise answers[0] from error
        raise
    return answers


def _asker(told: Reply) -> Asker:
    """Read the answer to CLIENT INFO. Clients of a unix socket all have its path for an address: no address then."""
    found = _ASKER.match(told) if isinstance(told, bytes) else None
    if found is None:
        return Asker()
    address = found.group(2).decode()
    return Asker(int(found.group(1)), "" if address.startswith("/") else address)


def _seconds(given: Mapping[str, Any], name: str, default: float) -> float:
    """Return a time of the transport options; None and 0 are the default."""
    value = given.get(name) or default
    if not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ImproperlyConfigured(f"{name} must be a number of seconds above 0, not {value!r}.")
    return value


def _keepalive(given: Mapping[str, Any]) -> Mapping[int, int] | None:
    """Return the options of TCP's own search for dead peers, None when the user wants none."""
    if given.get("socket_keepalive") is not None and not given["socket_keepalive"]:
        return None
    options: Mapping[int, int] | None = given.get("socket_keepalive_options")
    if options:
        return options
    return {getattr(socket, name): value for name, value in _KEEPALIVE if hasattr(socket, name)}
