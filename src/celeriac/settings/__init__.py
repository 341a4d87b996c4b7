"""What an application is configured with: one typed table, its sources, and `Settings`, which puts them together."""

from celeriac.settings.conf import Settings
from celeriac.settings.layers import Layer

__all__ = ["Layer", "Settings"]
