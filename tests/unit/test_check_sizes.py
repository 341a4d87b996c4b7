"""The check of sizes finds what is too large, and exceptions that are not needed."""

from __future__ import annotations

import ast

import pytest

from scripts.check_sizes import Limit, Size, check, functions

LIMITS = {"file": Limit(rule=400, most=600), "function": Limit(rule=50, most=80)}


@pytest.mark.parametrize(("lines", "problems"), [(400, 0), (401, 1)])
def test_a_file_may_have_as_many_lines_as_the_rule_says(lines: int, problems: int) -> None:
    assert len(list(check([Size("a.py", "file", lines)], LIMITS, {}))) == problems


@pytest.mark.parametrize(("lines", "problems"), [(60, 0), (61, 1), (81, 1), (50, 1)])
def test_an_exception_holds_up_to_its_own_limit_and_only_while_it_is_needed(lines: int, problems: int) -> None:
    found = [Size("a.py::f", "function", lines)]
    assert len(list(check(found, LIMITS, {"a.py::f": 60}))) == problems


def test_no_exception_goes_beyond_the_most_that_is_allowed() -> None:
    assert len(list(check([Size("a.py::f", "function", 81)], LIMITS, {"a.py::f": 100}))) == 1


def test_an_exception_for_what_is_not_there_is_an_error() -> None:
    assert "no such file" in next(check([], LIMITS, {"gone.py": 500}))


def test_methods_and_inner_functions_are_measured_by_their_own_names() -> None:
    tree = ast.parse("class A:\n    def f(self):\n        def g():\n            pass\n        return g\n")
    found = {size.name: size.lines for size in functions("a.py", tree, "")}
    assert found == {"a.py::A.f": 4, "a.py::A.f.g": 2}
