"""The same work with no queue at all: processes that burn, and the seconds that it took them.

python bare.py PROCESSES TASKS LOOPS
"""

from __future__ import annotations

import json
import os
import sys
import time

from work import burn


def main(processes: int, tasks: int, loops: int) -> None:
    started = time.monotonic()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            for _ in range(tasks // processes):
                burn(loops)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    used = os.times()
    cpu = used.children_user + used.children_system
    print(json.dumps({"wall": time.monotonic() - started, "cpu": cpu}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
