"""Names of nodes, and Celery's expansions in them."""

from __future__ import annotations

import os
import socket

DEFAULT = "celery"


def full_name(name: str | None, *, host: str | None = None) -> str:
    """Return ``name@host`` with the expansions done; ``celery`` and the host's name stand in for what is left out.

    There is no node's name yet, so ``%n`` is the first label of the host's, as with Celery's ``-n``.
    """
    host = host or socket.gethostname()
    label, _, place = (name or "").partition("@")
    first_label = host.partition(".")[0]
    return expand(f"{label or DEFAULT}@{place or host}", f"{first_label}@{host}", host=host)


def expand(text: str, nodename: str, *, host: str | None = None, index: int = 0) -> str:
    """Replace Celery's marks in `text`.

    ``%n`` the node's name before the @, ``%h`` the full host name, ``%d`` its domain, ``%p`` the full node name, ``%t``
    the first label of the host name, ``%i`` the engine's number (0 for the node itself), ``%I`` the same with a dash
    before it, nothing for the node; ``%%`` a percent sign.
    """
    name, _, node_host = nodename.partition("@")
    host = host or (node_host if "%" not in node_host else "") or socket.gethostname()
    label, _, domain = host.partition(".")
    marks = {
        "n": name,
        "h": host,
        "d": domain,
        "t": label,
        "p": nodename,
        "i": str(index),
        "I": f"-{index}" if index else "",
        "P": str(os.getpid()),
        "%": "%",
    }
    parts = text.split("%")
    expanded = [parts[0]]
    position = 1
    while position < len(parts):
        part = parts[position]
        if not part and position + 1 < len(parts):  # "%%"
            expanded.append("%" + parts[position + 1])
            position += 2
            continue
        expanded.append(marks.get(part[:1], "%" + part[:1]) + part[1:])
        position += 1
    return "".join(expanded)
