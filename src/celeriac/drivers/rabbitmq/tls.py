"""TLS to RabbitMQ. Loaded only where a URL or a setting asks for it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from celeriac.drivers.rabbitmq.errors import LinkLost
from celeriac.drivers.rabbitmq.transport import Transport, said
from celeriac.exceptions import ImproperlyConfigured

__all__ = ["TlsTransport", "context_of", "secured"]

_CHUNK: Final = 65_536


class TlsTransport(Transport):
    """A connection through TLS. The lock guards OpenSSL's state, which both directions share; neither waits in it."""

    def __init__(self, connected: ssl.SSLSocket) -> None:
        self._guard_state = threading.Lock()
        super().__init__(connected)
        self.may_be_shared = False
        self._secured = connected

    def read(self, wait: float, beside: Transport | None = None) -> bytes:
        return super().read(0.0 if self._secured.pending() else wait, beside)  # what OpenSSL has, the kernel has not

    def _received(self) -> bytes | None:
        with self._guard_state:
            try:
                return self.socket.recv(_CHUNK)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            except OSError as error:
                raise LinkLost(said(error)) from error

    def _sent(self, view: memoryview) -> int:
        with self._guard_state:
            try:
                return self.socket.send(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return 0
            except OSError as error:
                raise LinkLost(said(error)) from error


def context_of(settings: Mapping[str, Any]) -> ssl.SSLContext:
    """Return what the settings ask for (see `Address.tls`). Raises `ImproperlyConfigured` for what cannot be."""
    context = ssl.create_default_context()
    context.check_hostname = settings["check_hostname"]
    context.verify_mode = ssl.CERT_REQUIRED if settings["verify"] else ssl.CERT_NONE
    try:
        if settings.get("certfile"):
            context.load_cert_chain(settings["certfile"], settings.get("keyfile"), settings.get("password") or None)
        if settings.get("ca_certs"):
            context.load_verify_locations(settings["ca_certs"])
        if settings.get("ciphers"):
            context.set_ciphers(settings["ciphers"])
    except (OSError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"The TLS settings for RabbitMQ cannot be used: {error}.") from error
    return context


def secured(connected: socket.socket, settings: Mapping[str, Any], host: str, until: float) -> TlsTransport:
    """Return the connection with TLS upon it; the handshake is done. Raises `LinkLost`."""
    context = context_of(settings)
    connected.setblocking(True)
    connected.settimeout(max(0.01, until - time.monotonic()))
    try:
        wrapped = context.wrap_socket(connected, server_hostname=settings.get("server_hostname") or host)
    except OSError as error:
        connected.close()
        raise LinkLost(f"TLS with {host} failed: {said(error)}") from error
    return TlsTransport(wrapped)
