"""Tables for people. Apart from `output`, because loading rich takes longer than most commands do."""

from __future__ import annotations

import os
import sys

from rich.console import Console

from celeriac.cli.session import Session


def console(session: Session) -> Console:
    """Return a console on standard output.

    Colour where there is a terminal or FORCE_COLOR is set; never with -C or NO_COLOR. Elsewhere lines are not cut to
    the width of a terminal that is not there, unless COLUMNS says how wide to be.
    """
    forced = True if os.environ.get("FORCE_COLOR") else None
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160
    plain = True if session.no_color else None
    return Console(file=sys.stdout, no_color=plain, force_terminal=forced, width=width, highlight=False)
