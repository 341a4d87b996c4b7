"""What the documents name is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from celeriac import AsyncResult, Celeriac, Task
from celeriac.app.options import CELERY_ONLY, SEND_OPTIONS, TaskOptions
from celeriac.cli.main import TABLE
from celeriac.worker.unused import UNUSED

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_page_of_commands_has_every_command() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)[ `]", text, re.MULTILINE)) >= set(TABLE)


def rows(title: str) -> list[list[set[str]]]:
    """Return the names in each cell of each row below a heading of the page on Celery."""
    page = (ROOT / "docs" / "celery.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[set(re.findall(r"`([^`]+)`", cell)) for cell in line.split(" | ")] for line in lines]


def is_there(module: str) -> bool:
    try:
        import_module(module)
    except ModuleNotFoundError:
        return False
    return True


def test_what_the_page_on_celery_calls_missing_is_missing() -> None:
    app = Celeriac("page", set_as_current=False)
    (_, there, of_tasks, paths, *_) = rows("API")
    assert [name for name in there[0] if name.startswith("app.") and not hasattr(app, name[4:])] == []
    assert [name for name in there[1] if name.startswith("app.") and hasattr(app, name[4:])] == []
    assert [name for name in of_tasks[0] if name != "run" and not hasattr(Task, name) and name != "Task"] == []
    assert [name for name in of_tasks[1] if hasattr(Task, name)] == []
    assert [name for name in paths[1] if is_there(name.replace("celery", "celeriac", 1))] == []
    revoking = {"revoke", "revoke_by_stamped_headers"}
    assert [row for row in rows("Results") if row[0] >= revoking and all(hasattr(AsyncResult, name) for name in row[0])]


def test_the_page_on_celery_tells_of_every_option() -> None:
    options = set().union(*(names for row in rows("Task options") for names in row))
    retry = {name for name in TaskOptions.__annotations__ if name.startswith("retry_")}
    assert TaskOptions.__annotations__.keys() - retry <= options
    assert rows("Task options")[-1][0] == set(UNUSED)
    assert rows("Call options")[1][0] == SEND_OPTIONS - {"group_index"}
    assert rows("Call options")[2][0] <= CELERY_ONLY
    assert rows("Commands")[1][0] | rows("Commands")[-1][1] <= set(TABLE)
    assert rows("Commands")[2][0].isdisjoint(TABLE)


def test_every_target_of_the_makefile_that_the_documents_name_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named <= targets


def test_every_fragment_of_the_changelog_says_its_kind() -> None:
    fragments = [path.name for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]
    kinds = ("added", "changed", "fixed", "removed", "security")
    assert [name for name in fragments if not name.endswith(tuple(f".{kind}.md" for kind in kinds))] == []
