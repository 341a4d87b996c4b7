"""Workflows, under Celery's import path ``celery.canvas``: signatures, chains, groups, chords."""

from celeriac.canvas.chains import chain
from celeriac.canvas.chords import chord
from celeriac.canvas.drawing import draw
from celeriac.canvas.groups import group
from celeriac.canvas.items import chunks, xmap, xstarmap
from celeriac.canvas.signature import Signature, maybe_signature, signature, subtask
from celeriac.canvas.stamping import StampingVisitor

__all__ = [
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "draw",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
