"""TLS to a Redis server. Loaded only where a URL or a setting asks for it: the ssl module takes 3 MiB."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from celeriac.drivers.redis.errors import ConnectionLost
from celeriac.drivers.redis.wire import Wire
from celeriac.exceptions import ImproperlyConfigured

__all__ = ["TlsWire", "context_of", "wrapped"]

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class TlsWire(Wire):
    """A connection through TLS, whose socket holds decrypted bytes back, and knows no MSG_DONTWAIT."""

    hears_answers_only = False  # the protocol has messages of its own

    def _received(self) -> bytes | None:
        timeout = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            return self.socket.recv(65536)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        finally:
            self.socket.settimeout(timeout)

    def is_quiet(self) -> bool:
        try:
            return not self.has_answer()
        except ConnectionLost:
            return False

    def limit(self, timeout: float | None) -> None:
        self.socket.settimeout(timeout)


def context_of(settings: Mapping[str, Any]) -> ssl.SSLContext:
    """Return what the settings ask for (see `Address.tls`). Raises `ImproperlyConfigured` for what cannot be."""
    context = ssl.create_default_context()
    context.check_hostname = settings["ssl_check_hostname"]
    context.verify_mode = _VERIFY[settings["ssl_cert_reqs"]]
    try:
        if settings.get("ssl_certfile") or settings.get("ssl_keyfile"):
            context.load_cert_chain(
                settings["ssl_certfile"], settings.get("ssl_keyfile"), settings.get("ssl_password") or None
            )
        if any(settings.get(name) for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_ca_data")):
            context.load_verify_locations(
                settings.get("ssl_ca_certs"), settings.get("ssl_ca_path"), settings.get("ssl_ca_data")
            )
        if settings.get("ssl_ciphers"):
            context.set_ciphers(settings["ssl_ciphers"])
        if settings.get("ssl_min_version"):
            context.minimum_version = _version(settings["ssl_min_version"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"The TLS settings for Redis cannot be used: {error}.") from error
    return context


def wrapped(connected: socket.socket, settings: Mapping[str, Any], host: str) -> socket.socket:
    """Return the socket with TLS upon it; the handshake is done. Raises OSError, of which ssl.SSLError is one."""
    try:
        return context_of(settings).wrap_socket(connected, server_hostname=host)
    except BaseException:
        connected.close()
        raise


def _version(given: Any) -> ssl.TLSVersion:
    """Accept TLSVersion, its number, or its name, as in "TLSv1_2" or "TLSv1.2"."""
    if isinstance(given, str) and not given.isdigit():
        return ssl.TLSVersion[given.replace(".", "_")]
    return ssl.TLSVersion(int(given))
