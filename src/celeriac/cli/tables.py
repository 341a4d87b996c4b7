"""Tables for people. Apart from `output`, because loading rich takes longer than most commands do."""

from __future__ import annotations

import os
import sys
from typing import Literal

from rich.console import Console

from celeriac.cli.session import Session


def console(session: Session) -> Console:
    """Return a console on standard output.

    Colour where there is a terminal or FORCE_COLOR is set; never with -C or NO_COLOR, and with -C no bold or italic
    letters either. Elsewhere lines are not cut to the width of a terminal that is not there, unless COLUMNS says how
    wide to be.
    """
    forced = True if os.environ.get("FORCE_COLOR") and not session.no_color else None
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160
    system: Literal["auto"] | None = None if session.no_color else "auto"
    return Console(file=sys.stdout, color_system=system, force_terminal=forced, width=width, highlight=False)
