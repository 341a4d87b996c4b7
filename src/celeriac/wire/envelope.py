"""A message as one JSON document: the form that kombu's list-like transports keep, and ours."""
