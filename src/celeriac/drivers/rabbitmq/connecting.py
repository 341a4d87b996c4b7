"""How a connection to RabbitMQ begins: which server, socket, TLS, login."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any, Final

from celeriac.drivers.rabbitmq.address import Address, Node
from celeriac.drivers.rabbitmq.errors import LinkLost, LoginRefused, NoAnswer, WireError
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.methods import Method, method_frame
from celeriac.drivers.rabbitmq.tables import write_table
from celeriac.drivers.rabbitmq.transport import Transport, said
from celeriac.drivers.urls import plain_host
from celeriac.interfaces.store import StoreOptions

__all__ = ["Connector"]

log = logging.getLogger(__name__)

_PROTOCOL: Final = b"AMQP\x00\x00\x09\x01"
_CAPABILITIES: Final = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Connector:
    """Makes connections to one store, as its address and the options have it. Thread-safe.

    Among several servers the one that served last is tried first, unless it has stopped answering since.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.address = address
        self._options = options
        self._first = 0
        self._doubted_at = 0.0

    def open(self, *, purpose: str) -> Link:
        """Connect to the first server that serves. `purpose` is shown in the server's list of connections.

        Raises `LinkLost` kin, of the last server.
        """
        nodes = self.address.nodes
        failure: WireError = LinkLost("there is no server to connect to")
        for turn in range(len(nodes)):
            place = (self._first + turn) % len(nodes)
            try:
                link = self._open(nodes[place], purpose)
            except WireError as error:
                failure = error
                continue
            self._first = place
            return link
        raise failure

    @property
    def has_choice(self) -> bool:
        """Whether there are several servers."""
        return len(self.address.nodes) > 1

    def leave(self, link: Link) -> None:
        """Take note that the server of a connection does not answer: the next one is tried first from now on.

        Other connections of which nothing was heard since are in doubt: see `doubts`.
        """
        self._doubted_at = time.monotonic()
        nodes = self.address.nodes
        if nodes[self._first] is link.node:
            self._first = (self._first + 1) % len(nodes)

    def doubts(self, link: Link) -> bool:
        """Tell whether another connection was left unanswered since this one was heard of last.

        The way to the server is cut for all of them as a rule: to find that out for each would take 4 s each time.
        """
        return link.read_at < self._doubted_at

    def _open(self, node: Node, purpose: str) -> Link:
        until = time.monotonic() + self._options.connect_timeout
        link = Link(self._transport(node, until), timeout=self._options.socket_timeout, node=node)
        try:
            link.send(_PROTOCOL)
            self._log_in(link, node, until, purpose)
            tune = self._next(link, until, "connection.tune")
            self._tune(link, tune)
            link.send(method_frame(0, "connection.open", node.vhost, "", True))
            self._next(link, until, "connection.open-ok")
        except BaseException as error:
            link.drop(error if isinstance(error, WireError) else LinkLost("it was broken off"))
            raise
        return link

    def _transport(self, node: Node, until: float) -> Transport:
        try:
            connected = socket.create_connection((plain_host(node.host), node.port), self._options.connect_timeout)
        except TimeoutError as error:
            raise NoAnswer(f"{node.host}:{node.port} does not accept connections in time") from error
        except OSError as error:
            raise LinkLost(f"{node.host}:{node.port}: {said(error)}") from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if not node.uses_tls:
            return Transport(connected)
        from celeriac.drivers.rabbitmq.tls import secured  # noqa: PLC0415  the ssl module takes 3 MiB

        return secured(connected, self.address.tls, node.host, until)

    def _log_in(self, link: Link, node: Node, until: float, purpose: str) -> None:
        start = self._next(link, until, "connection.start")
        offered = start.arguments[3].decode("ascii", "replace").split()
        mechanism, response = self._credentials(node, offered)
        ours: dict[str, Any] = {
            "product": "celeriac",
            "connection_name": f"{self._options.client_name} {purpose}",
            "capabilities": _CAPABILITIES,
        }
        link.send(method_frame(0, "connection.start-ok", ours, mechanism, response, "en_US"))

    def _credentials(self, node: Node, offered: list[str]) -> tuple[str, bytes]:
        wanted = self.address.login_method
        if wanted is None:
            has_certificate = node.uses_tls and bool(self.address.tls.get("certfile"))
            wanted = "EXTERNAL" if has_certificate and "EXTERNAL" in offered and "PLAIN" not in offered else "PLAIN"
        if wanted not in offered:
            raise LoginRefused(f"the server does not offer the login method {wanted}, but {', '.join(offered)}")
        if wanted == "EXTERNAL":
            return wanted, b""
        if wanted == "AMQPLAIN":
            return wanted, write_table({"LOGIN": node.username, "PASSWORD": node.password})[4:]
        return wanted, b"\x00" + node.username.encode() + b"\x00" + node.password.encode()

    def _tune(self, link: Link, tune: Method) -> None:
        channels, frame, proposed = tune.arguments
        wanted = self.address.heartbeat
        # What the server proposes is the most that it wants; its users are used to the smaller of the two.
        beat = proposed if wanted is None else int(wanted if not proposed or not wanted else min(wanted, proposed))
        link.channel_max = channels or 65_535
        link.frame_max = frame or 131_072
        link.heartbeat = float(beat)
        link.send(method_frame(0, "connection.tune-ok", link.channel_max, link.frame_max, beat))

    def _next(self, link: Link, until: float, name: str) -> Method:
        try:
            came = link.wait(lambda: bool(link.answers), until)
        except NoAnswer:
            raise
        except LinkLost as error:
            text = str(error)
            is_refusal = "ACCESS_REFUSED" in text or "NOT_ALLOWED" in text or "INVALID_PATH" in text
            raise (LoginRefused if is_refusal else LinkLost)(text) from error
        if not came:
            raise NoAnswer("the server does not let us in in time")
        method = link.answers.pop(0)
        if method.name != name:
            raise LinkLost(f"the server said {method.name} where {name} was due")
        return method
