"""A TCP proxy that misbehaves on demand, between a worker or a client and its server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Self

TICK = 0.05
"""Seconds after which a pump looks at what is asked of it."""
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


class Link:
    """One connection through the proxy: two pumps. `is_deaf` swallows what comes, from either side, in silence."""

    def __init__(self, near: socket.socket, far: socket.socket, proxy: Proxy) -> None:
        self.near, self.far = near, far
        self.is_deaf = False
        self.has_lost = False
        """Something came in a black hole: no connection goes on behind what it has lost."""
        self._loses_answer = False
        self._proxy = proxy
        for one, other in ((near, far), (far, near)):
            one.settimeout(TICK)
            threading.Thread(target=self._pump, args=(one, other), name="proxy-pump", daemon=True).start()

    def reset(self) -> None:
        """End both sides at once, as a router that lost its state does."""
        for side in (self.near, self.far):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self._shut(side)

    def half_open(self) -> None:
        """Let the server see an end and the client nothing: its connection stays open and leads nowhere."""
        self.is_deaf = True
        self._shut(self.far)

    def desert(self) -> None:
        """Let the client see an end and the server nothing: it goes on with what it was asked, for nobody."""
        self.is_deaf = True
        self._shut(self.near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        while not self._proxy.is_closed:
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not data:
                break
            if self.is_deaf or self._proxy.is_black_hole:
                self.has_lost = True
                continue
            if source is self.far and self._loses_answer:
                self.reset()
                break
            wanted = self._proxy.loses_answer_to
            self._loses_answer = self._loses_answer or (wanted is not None and source is self.near and wanted in data)
            time.sleep(self._proxy.delay)
            while source is self.far and self._proxy.holds_answers and not self._proxy.is_closed:
                time.sleep(TICK)
            try:
                target.sendall(data)
            except OSError:
                break
        self._shut(source)
        if not self.is_deaf:
            self._shut(target)

    @staticmethod
    def _shut(side: socket.socket) -> None:
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
        side.close()


class Proxy:
    """Listens on a free port of its own and forwards to `port`. `delay` is in seconds for each piece that passes.

    What contains `loses_answer_to` reaches the server; its connection is reset when the answer comes. What the server
    says is held back while `holds_answers`.
    """

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.holds_answers = False
        self._is_black_hole = False
        self.loses_answer_to: bytes | None = None
        self.is_closed = False
        self._target = port
        self._links: list[Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(TICK)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    @property
    def is_black_hole(self) -> bool:
        """Whether all that comes is lost, in silence. Connections that lost something are reset when that is over."""
        return self._is_black_hole

    @is_black_hole.setter
    def is_black_hole(self, value: bool) -> None:
        self._is_black_hole = value
        if not value:
            for link in list(self._links):
                if link.has_lost and not link.is_deaf:
                    link.reset()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True
        self._thread.join(5.0)
        self._listener.close()
        self.reset()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def connections(self) -> int:
        """How many were made since the last reset."""
        return len(self._links)

    def reset(self) -> None:
        """Reset every connection; new ones are welcome."""
        for link in self._take():
            link.reset()

    def half_open(self) -> None:
        """Cut every connection towards the server and tell the client nothing; new ones are welcome."""
        for link in self._links:
            link.half_open()

    def desert(self) -> None:
        """Cut every connection towards the client and tell the server nothing; new ones are welcome."""
        for link in self._take():
            link.desert()

    def _take(self) -> list[Link]:
        links, self._links = self._links, []
        return links

    def _accept(self) -> None:
        while not self.is_closed:
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5.0)
            except OSError:
                near.close()
                continue
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.append(Link(near, far, self))
