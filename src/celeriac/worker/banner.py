"""What a node prints when it starts."""

from __future__ import annotations

from celeriac.app.base import Celeriac
from celeriac.worker.options import NodePlan

VERSION_LINE = "celeriac worker"


def banner(app: Celeriac, node: NodePlan) -> str:
    """Return the lines that tell a person what runs here, on what, and which tasks it knows."""
    results = app.results
    shape = {
        "prefork": f"{node.engines} process{'es' if node.engines > 1 else ''}",
        "threads": f"{node.engines} process{'es' if node.engines > 1 else ''} of {node.slots} threads",
        "solo": "1, in this process",
    }[node.pool]
    default = "  (no broker is configured)" if app.stores.uses_default else ""
    tasks = sorted(app.tasks.regular())
    lines = [
        f"{node.nodename}: {VERSION_LINE}",
        f"  app      {app.main or '__main__'}",
        f"  broker   {app.broker.location}{default}",
        f"  results  {results.location if results is not None else 'not kept'}",
        f"  pool     {node.pool}, {shape}; {node.async_slots} async slots each",
        f"  queues   {', '.join(node.queues)}",
        f"  tasks    {tasks[0] if tasks else 'none: does the module that defines them get imported?'}",
        *(f"           {name}" for name in tasks[1:]),
    ]
    return "\n".join(lines)
