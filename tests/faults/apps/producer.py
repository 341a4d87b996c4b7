"""Send mixed tasks for so many seconds at an even pace, and go on when the broker is away for a moment."""

from __future__ import annotations

import sys
import time

from trouble import mixed

from celeriac.exceptions import OperationalError

seconds, pause = map(float, sys.argv[1:])
began, number, refused = time.monotonic(), 0, 0
while (now := time.monotonic()) < began + seconds:
    number += 1
    try:
        mixed.delay(number, time.time())
    except OperationalError:
        refused += 1
    time.sleep(max(0.0, began + number * pause - now))
print(number, refused)
