"""Send mixed tasks for so many seconds at an even pace, and go on when the broker is away for a moment.

Each send is noted in the ledger before its begin and when it has returned.
"""

from __future__ import annotations

import sys
import time

from trouble import mixed

from celeriac.exceptions import OperationalError
from tests.integration.worker.ledger import note

seconds, pause = map(float, sys.argv[1:])
began, number = time.monotonic(), 0
while (now := time.monotonic()) < began + seconds:
    number += 1
    note("send", number)
    try:
        mixed.delay(number, time.time())
    except OperationalError as error:
        note("refused", f"{number} {error}")
    else:
        note("sent", number)
    time.sleep(max(0.0, began + number * pause - now))
