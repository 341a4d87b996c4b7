"""Tools for testing: a clock that is told the time, faults on a schedule, and the suite that every driver passes."""
