"""What a claim's answer says, as deliveries."""

from __future__ import annotations

import msgspec

from celeriac.exceptions import DecodeError
from celeriac.interfaces.broker import Delivery, Lease
from celeriac.wire import envelope
from celeriac.wire.message import Unreadable

__all__ = ["delivery_of", "queue_of"]


def delivery_of(lease: Lease, raw: bytes) -> Delivery:
    """Read an envelope that is held; what is none is delivered as `Unreadable`."""
    try:
        read = envelope.decode(raw)
    except DecodeError as error:
        return Delivery(lease, Unreadable(raw, str(error)))
    return Delivery(lease, read.message, read.priority, read.redelivered)


def queue_of(entry: bytes) -> str:
    """Return the queue of an entry of ours in the hash of unacknowledged messages; see `QueueKeys.tail`."""
    name: str = msgspec.json.decode(entry[entry.rindex(b',"",') + 4 : -1], type=str)
    return name
