"""The check of sizes finds what is too large, and exceptions that are not needed."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def sizes() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "check_sizes.py"
    spec = importlib.util.spec_from_file_location("check_sizes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def limits(sizes: ModuleType) -> dict[str, object]:
    return {"file": sizes.Limit(rule=400, most=600), "function": sizes.Limit(rule=50, most=80)}


@pytest.mark.parametrize(("lines", "problems"), [(400, 0), (401, 1)])
def test_a_file_may_have_as_many_lines_as_the_rule_says(
    sizes: ModuleType, limits: dict[str, object], lines: int, problems: int
) -> None:
    assert len(list(sizes.check([sizes.Size("a.py", "file", lines)], limits, {}))) == problems


@pytest.mark.parametrize(("lines", "problems"), [(60, 0), (61, 1), (81, 1), (50, 1)])
def test_an_exception_holds_up_to_its_own_limit_and_only_while_it_is_needed(
    sizes: ModuleType, limits: dict[str, object], lines: int, problems: int
) -> None:
    found = [sizes.Size("a.py::f", "function", lines)]
    assert len(list(sizes.check(found, limits, {"a.py::f": 60}))) == problems


def test_no_exception_goes_beyond_the_most_that_is_allowed(sizes: ModuleType, limits: dict[str, object]) -> None:
    assert len(list(sizes.check([sizes.Size("a.py::f", "function", 81)], limits, {"a.py::f": 100}))) == 1


def test_an_exception_for_what_is_not_there_is_an_error(sizes: ModuleType, limits: dict[str, object]) -> None:
    assert "no such file" in next(sizes.check([], limits, {"gone.py": 500}))


def test_methods_and_inner_functions_are_measured_by_their_own_names(sizes: ModuleType) -> None:
    tree = ast.parse("class A:\n    def f(self):\n        def g():\n            pass\n        return g\n")
    found = {size.name: size.lines for size in sizes.functions("a.py", tree, "")}
    assert found == {"a.py::A.f": 4, "a.py::A.f.g": 2}
