"""What a claim's answer says, as deliveries."""

from __future__ import annotations

from celeriac.exceptions import DecodeError
from celeriac.interfaces.broker import Delivery, Lease
from celeriac.wire import envelope
from celeriac.wire.message import Unreadable

__all__ = ["delivery_of"]


def delivery_of(lease: Lease, raw: bytes) -> Delivery:
    """Read an envelope that is held; what is none is delivered as `Unreadable`."""
    try:
        read = envelope.decode(raw)
    except DecodeError as error:
        return Delivery(lease, Unreadable(raw, str(error)))
    return Delivery(lease, read.message, read.priority, read.redelivered)
