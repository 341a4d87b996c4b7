"""The page of settings is made from the table."""

from __future__ import annotations

from pathlib import Path

from celeriac.settings.names import FIELDS
from celeriac.settings.reference import lines

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_of_settings_is_current():
    written = PAGE.read_text("utf-8")
    assert written == "\n".join(lines()) + "\n", "run: python -m celeriac.settings.reference > docs/settings.md"


def test_every_setting_stands_on_the_page_once():
    rows = [line.split("`")[1] for line in lines() if line.startswith("| `")]
    assert sorted(rows) == sorted(FIELDS)
