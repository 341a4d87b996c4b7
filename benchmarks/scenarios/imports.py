"""What a program pays that imports the library and makes no use of it yet, in a fresh interpreter."""

from __future__ import annotations

import statistics

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_PROGRAM = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
{imports}
print(json.dumps({{"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}}))
"""


def measure(site: Site, times: int) -> dict[str, float]:
    program = _PROGRAM.format(imports=site.system.imports)
    site.run("-c", program)  # compiles, and brings the files into memory
    runs = [site.run("-c", program) for _ in range(times)]
    return {
        "import_wall": statistics.median(run["wall"] for run in runs) * 1e3,
        "import_cpu": statistics.median(run["cpu"] for run in runs) * 1e3,
    }


SCENARIO = Scenario(
    name="import",
    title="Import",
    figures=(
        Figure("import_wall", "time", "ms", targets=(Target(60),)),
        Figure("import_cpu", "CPU", "ms"),
    ),
    measure=measure,
    tasks=7,
    fast=3,
    even=True,
    only=("celeriac", "celery", "dramatiq", "huey"),
)
