"""Serializers of your own, under the names that ``kombu.serialization`` gives them."""

from celeriac.wire.content import register, unregister

__all__ = ["register", "unregister"]
