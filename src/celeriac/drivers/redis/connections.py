"""Connections to one Redis server: how they are made, kept between uses, and left behind by a fork."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any, Final, Protocol, TypeAlias

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as ClientConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as ClientTimeoutError
from redis.sentinel import MasterNotFoundError, Sentinel

from celeriac.clock import SYSTEM_CLOCK
from celeriac.drivers.redis.address import Address, Node
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.store import StoreOptions

__all__ = ["LOST", "Pool", "Reply", "Wire"]

log = logging.getLogger(__name__)

Reply: TypeAlias = Any
"""What the server answers to a command: bytes, int, None, or lists of these."""

LOST: Final = (ClientConnectionError, ClientTimeoutError, OSError)
"""What the client library raises when a connection is of no use any more."""

_KEPT: Final = 10  # idle connections; kombu's own number
_FRESH: Final = 0.001  # seconds; a connection used this recently is not looked at before its next use
_CLOCKS_AGREE: Final = 1.0  # seconds


class Wire(Protocol):
    """The part of redis-py's connection that we use, the same from 5.2 to 8."""

    _sock: socket.socket | None
    _parser: Any

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def pack_command(self, *args: Any) -> list[bytes]: ...
    def send_packed_command(self, command: Any, check_health: bool = True) -> None: ...  # noqa: FBT001, FBT002
    def read_response(self, disable_decoding: bool = False, *, push_request: bool = False) -> Reply: ...  # noqa: FBT001, FBT002


class Pool:
    """Connections that wait for their next use, the most recently used first. Thread-safe; the lock is held for no I/O.

    `clock_offset` is what to add to the local clock to read the server's: 0 while they agree within a second.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.address = address
        self.clock_offset = 0.0
        self._options = options
        self._kwargs = _connection_arguments(address, options)
        self._kept = int(options.transport_options.get("max_connections") or _KEPT)
        self._calibrated = options.clock is not SYSTEM_CLOCK
        self._first_node = 0
        self._idle: list[tuple[Wire, float]] = []
        self._idle_lock = threading.Lock()
        after_fork_in_child(self)

    def take(self) -> Wire:
        """Return a connection that is open as far as can be told without a round trip."""
        while True:
            with self._idle_lock:
                if not self._idle:
                    break
                wire, used_at = self._idle.pop()
            if time.monotonic() - used_at < _FRESH or _is_quiet(wire):
                return wire
            wire.disconnect()
        return self.open()

    def give(self, wire: Wire) -> None:
        """Keep a connection, all of whose answers were read, for its next use."""
        with self._idle_lock:
            if len(self._idle) < self._kept:
                self._idle.append((wire, time.monotonic()))
                return
        wire.disconnect()

    def open(self, *, protocol: int = 2) -> Wire:
        """Make a new connection. Raises one of `LOST`, or another error of the client library."""
        nodes = self._primary() if self.address.sentinel_name else self.address.nodes
        first = self._first_node % len(nodes)
        failure: BaseException | None = None
        for turn in range(len(nodes)):
            wire = self._make(nodes[(first + turn) % len(nodes)], protocol)
            try:
                wire.connect()
            except LOST as error:
                failure = error
                continue
            self._first_node = (first + turn) % len(nodes)
            if not self._calibrated:
                self._calibrate(wire)
            return wire
        raise failure or ClientConnectionError("No server was named.")

    def close(self) -> None:
        """Close all idle connections. Later calls open new ones."""
        with self._idle_lock:
            idle, self._idle = self._idle, []
        for wire, _ in idle:
            wire.disconnect()

    def forget_parent(self) -> None:
        """Begin anew after a fork: redis-py closes inherited sockets without shutting them down for the parent."""
        self._idle_lock = threading.Lock()
        self.close()

    def _make(self, node: Node, protocol: int) -> Wire:
        arguments = {**self._kwargs, "protocol": protocol, "username": node.username, "password": node.password}
        wire: Wire
        if node.path is not None:
            wire = _untyped(UnixDomainSocketConnection)(path=node.path, **arguments)
            return wire
        arguments |= {"host": node.host, "port": node.port, **_keepalive(self._options)}
        made = Connection if self.address.tls is None else SSLConnection
        wire = _untyped(made)(**arguments, **(self.address.tls or {}))
        return wire

    def _primary(self) -> tuple[Node, ...]:
        """Ask the Sentinels who the primary is; its user and password are those of the URL."""
        nodes = self.address.nodes
        options = {
            "socket_timeout": self._kwargs["socket_connect_timeout"],
            "socket_connect_timeout": self._kwargs["socket_connect_timeout"],
            **(self.address.tls or {}),
            **({"ssl": True} if self.address.tls is not None else {}),
            **self.address.sentinel_options,
        }
        sentinel = _untyped(Sentinel)([(node.host, node.port) for node in nodes], sentinel_kwargs=options)
        try:
            host, port = sentinel.discover_master(self.address.sentinel_name)
        except MasterNotFoundError as error:
            raise ClientConnectionError(str(error)) from error
        finally:
            for asked in sentinel.sentinels:
                asked.close()
        return (Node(host, port, None, nodes[0].username, nodes[0].password),)

    def _calibrate(self, wire: Wire) -> None:
        """Compare the clocks once: leases and delays of several machines must run on one clock, the server's."""
        before = time.time()
        wire.send_packed_command(wire.pack_command("TIME"), check_health=False)
        seconds, micros = wire.read_response()
        offset = int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
        self._calibrated = True
        if abs(offset) > _CLOCKS_AGREE:
            self.clock_offset = offset
            log.warning(
                "The clock of Redis at %s is %+.1f s from this machine's; leases and delays follow the server's.",
                self.address.location,
                offset,
            )


def _untyped(cls: Any) -> Any:
    """Return a class of redis-py, whose constructors have no types, as one that may be called with anything."""
    return cls


def _is_quiet(wire: Wire) -> bool:
    """Tell whether an idle connection is open and has nothing to read, which would be an answer to nobody."""
    try:
        return not wire.can_read(0)
    except (RedisError, OSError):
        return False


def _connection_arguments(address: Address, options: StoreOptions) -> dict[str, Any]:
    given = options.transport_options
    return {
        "db": address.db,
        "socket_timeout": given.get("socket_timeout") or options.socket_timeout,
        "socket_connect_timeout": given.get("socket_connect_timeout") or options.connect_timeout,
        "client_name": (given.get("client_name") or options.client_name).replace(" ", "-"),
    }


def _keepalive(options: StoreOptions) -> dict[str, Any]:
    """Return the settings by which TCP finds a dead peer of an idle connection, after 30 + 3 x 5 seconds."""
    given = options.transport_options.get("socket_keepalive_options")
    spans = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    default = {getattr(socket, name): value for name, value in spans if hasattr(socket, name)}
    keepalive = options.transport_options.get("socket_keepalive")
    return {
        "socket_keepalive": True if keepalive is None else bool(keepalive),
        "socket_keepalive_options": dict(given) if given else default,
    }
