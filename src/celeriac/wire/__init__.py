"""Bytes to values and back: pure functions, no I/O, no threads.

`message` is what all of it is about; `envelope` writes a message as one JSON document for stores that keep bytes;
`tasks` turns a task call into a message and back; `results` does the same for results; `errors` for exceptions;
`content` knows the serializers, `json` is the one that all use, `compression` knows the compressors, `libraries` loads
the optional ones of both. `moments` reads points in time.
"""
