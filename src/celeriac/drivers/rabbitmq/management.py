"""What the management plugin tells over HTTP. Loaded only where an option names it."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from celeriac.drivers.rabbitmq.address import Address
from celeriac.drivers.rabbitmq.errors import LinkLost, LoginRefused
from celeriac.drivers.rabbitmq.tls import context_of
from celeriac.exceptions import ImproperlyConfigured

__all__ = ["Management"]

_OURS: Final = re.compile(
    r"celeriac\.(dead|held)|celery_delayed_|celeriac_delayed_|amq\.gen-|celeryev\.|.*\.pidbox$"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
)
"""Queues that are no work: what this driver and stock Celery make beside it."""
_REFUSED: Final = frozenset({401, 403})


class _Queue(Struct, frozen=True):
    name: str
    messages_unacknowledged: int = 0


class Management:
    """The API at `url`, for the virtual host and the user of `address`, unless the URL names another user.

    What it tells of quorum queues is up to 5 s old, by default. Raises `LinkLost` kin. Thread-safe.
    """

    def __init__(self, url: str, address: Address, *, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ImproperlyConfigured(
                "management_url in the transport options must be a URL such as http://localhost:15672."
            )
        node = address.nodes[0]
        user = unquote(parts.username) if parts.username else node.username
        password = unquote(parts.password) if parts.password else node.password
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        # Totals are counted when they are asked for; the plugin's statistics come each 5 s.
        what = "disable_stats=true&enable_queue_totals=true&columns=name,messages_unacknowledged"
        self._list = f"{self._base}/api/queues/{quote(node.vhost, safe='')}?{what}"
        self._login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._context = context_of(address.tls) if parts.scheme == "https" else None
        self._timeout = timeout

    def held(self) -> Mapping[str, int]:
        """Return by queue how many messages somebody holds; queues that are no work are left out."""
        request = urllib.request.Request(self._list, headers={"Authorization": f"Basic {self._login}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._timeout, context=self._context) as answer:  # noqa: S310
                queues = msgspec.json.decode(answer.read(), type=list[_Queue])
        except urllib.error.HTTPError as error:
            error.close()  # it is an answer, and has the connection
            kind = LoginRefused if error.code in _REFUSED else LinkLost
            raise kind(f"the management plugin at {self._base} says {error.code} {error.reason}") from error
        except (OSError, msgspec.MsgspecError) as error:
            raise LinkLost(f"the management plugin at {self._base} does not answer: {error}") from error
        return {queue.name: queue.messages_unacknowledged for queue in queues if not _OURS.match(queue.name)}
