"""Bytes to values and back: pure functions, no I/O, no threads.

`message` is what all of it is about; `envelope` writes a message as one JSON document for stores that keep bytes;
`tasks` turns a task call into a message and back; `results` does the same for results; `errors` for exceptions;
`content` knows the serializers, `compression` the compressors.
"""
