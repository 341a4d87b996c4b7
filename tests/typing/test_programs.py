"""mypy and pyright say of users' programs what we promise: types that hold, mistakes that are found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PROGRAMS = Path(__file__).parent / "programs"

pytestmark = pytest.mark.timeout(180)  # each test starts a type checker that has nothing cached


def marked(program: str) -> set[int]:
    """Return the lines of a program that are marked as errors."""
    lines = (PROGRAMS / program).read_text("utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


def run(command: Sequence[str | Path]) -> str:
    environment = {**os.environ, "MYPYPATH": str(SOURCE)}
    told = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, env=environment
    )
    assert told.returncode in (0, 1), told.stdout + told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """Return what mypy --strict says: by program and line."""
    cache = tmp_path_factory.mktemp("mypy")
    options = [
        "--strict",
        f"--config-file={os.devnull}",
        f"--cache-dir={cache}",
        "--no-error-summary",
        "--hide-error-context",
    ]
    found: dict[str, dict[int, str]] = {path.name: {} for path in PROGRAMS.glob("*.py")}
    for line in run(["mypy", *options, PROGRAMS]).splitlines():
        match = re.match(r"(?P<path>.+?):(?P<line>\d+): error: (?P<text>.*)", line)
        if match:
            found.setdefault(Path(match["path"]).name, {})[int(match["line"])] = match["text"]
    return found


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """Return what basedpyright says in strict mode: by program and line."""
    project = tmp_path_factory.mktemp("pyright") / "pyrightconfig.json"
    settings = {"include": [str(PROGRAMS)], "extraPaths": [str(SOURCE)], "typeCheckingMode": "strict"}
    project.write_text(json.dumps(settings))
    report = json.loads(run(["basedpyright", "--outputjson", "--project", project]))
    found: dict[str, dict[int, str]] = {path.name: {} for path in PROGRAMS.glob("*.py")}
    for told in report["generalDiagnostics"]:
        if told["severity"] == "error":
            found[Path(told["file"]).name][told["range"]["start"]["line"] + 1] = told["message"]
    return found


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_correct_programs_have_no_errors(checker: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(checker)["accepted.py"] == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_every_mistake_is_found_and_nothing_else(checker: str, request: pytest.FixtureRequest) -> None:
    told = request.getfixturevalue(checker)["refused.py"]
    assert {line: told.get(line) for line in sorted({*told} ^ marked("refused.py"))} == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_chain_whose_values_do_not_fit_is_found(checker: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(checker)["chains.py"].keys() == marked("chains.py")


def test_the_example_of_the_readme_has_no_errors(tmp_path: Path) -> None:
    readme = (SOURCE.parent / "README.md").read_text("utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "delay_many" in block]
    (tmp_path / "example.py").write_text(example, "utf-8")
    options = ["--strict", f"--config-file={os.devnull}", f"--cache-dir={tmp_path}", "--no-error-summary"]
    assert run(["mypy", *options, tmp_path / "example.py"]) == ""


def test_the_first_examples_of_the_page_on_workflows_have_no_errors(tmp_path: Path) -> None:
    page = (SOURCE.parent / "docs" / "canvas.md").read_text("utf-8")
    shop, *uses = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "shop.py").write_text(shop, "utf-8")
    (tmp_path / "use.py").write_text("".join(uses[:2]), "utf-8")
    options = ["--strict", f"--config-file={os.devnull}", f"--cache-dir={tmp_path}", "--no-error-summary"]
    assert run(["mypy", *options, tmp_path / "shop.py", tmp_path / "use.py"]) == ""
    settings = {"include": [str(tmp_path)], "extraPaths": [str(SOURCE)], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    report = json.loads(run(["basedpyright", "--outputjson", "--project", tmp_path / "pyrightconfig.json"]))
    assert [told["message"] for told in report["generalDiagnostics"] if told["severity"] == "error"] == []


INNER = ("celeriac.cli.", "celeriac.drivers.", "celeriac.worker.")
"""Rooms that nobody imports from: their types must be known too, yet may be inferred."""


def test_every_public_type_is_known_and_declared() -> None:
    report = json.loads(run(["basedpyright", "--outputjson", "--ignoreexternal", "--verifytypes", "celeriac"]))
    completeness = report["typeCompleteness"]
    assert completeness["exportedSymbolCounts"]["withUnknownType"] == 0
    said = {
        symbol["name"]: [told["message"] for told in symbol["diagnostics"] if "docstring" not in told["message"]]
        for symbol in completeness["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["name"].startswith(INNER)
    }
    assert {name: told for name, told in said.items() if told and not name.endswith(".logger")} == {}
