"""``celeriac dead``: the messages that could not be worked on."""
