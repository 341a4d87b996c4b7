"""The check of a call's arguments says what Python's own binding says."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from celeriac.app.arguments import ArgumentCheck

NAMES = ("a", "b", "c", "d", "e")
KINDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)


@st.composite
def functions(draw: st.DrawFn) -> Callable[..., Any]:
    """Draw a function with any valid signature of up to five parameters."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=len(NAMES)).map(sorted))
    parts, defaults, star, slash = [], False, False, 0
    for name, kind in zip(NAMES, kinds, strict=False):
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            mark = "*" if kind is inspect.Parameter.VAR_POSITIONAL else "**"
            if any(part.startswith(mark) and not part.startswith(mark + "*") and part != "*" for part in parts):
                continue
            star = star or mark == "*"
            parts.append(mark + name)
            continue
        if kind is inspect.Parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        optional = draw(st.booleans())
        if kind is not inspect.Parameter.KEYWORD_ONLY:
            optional = defaults = defaults or optional
        parts.append(f"{name}=0" if optional else name)
        if kind is inspect.Parameter.POSITIONAL_ONLY:
            slash = len(parts)
    if slash:
        parts.insert(slash, "/")
    namespace: dict[str, Any] = {}
    exec(f"def function({', '.join(parts)}): ...", namespace)
    return namespace["function"]


ARGS = st.lists(st.integers(), max_size=6)
KWARGS = st.dictionaries(st.sampled_from([*NAMES, "z"]), st.integers(), max_size=5)


def said(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except TypeError as error:
        return str(error)
    return None


@given(functions(), ARGS, KWARGS)
def test_it_refuses_what_python_refuses(function, args, kwargs):
    fits = said(lambda: function(*args, **kwargs)) is None
    assert (said(lambda: ArgumentCheck(function, skip_first=False)(args, kwargs)) is None) is fits


@given(functions(), ARGS, KWARGS)
def test_it_words_its_refusal_as_python_binds(function, args, kwargs):
    words = said(lambda: ArgumentCheck(function, skip_first=False)(args, kwargs))
    assert words is None or words == said(lambda: inspect.signature(function).bind(*args, **kwargs))


@given(functions(), ARGS, KWARGS)
def test_the_task_itself_is_no_argument_of_a_bound_function(function, args, kwargs):
    first = next(iter(inspect.signature(function).parameters.values()), None)
    assume(first is not None and first.kind in KINDS[:2] and first.name not in kwargs)
    fits = said(lambda: function("the task", *args, **kwargs)) is None
    assert (said(lambda: ArgumentCheck(function, skip_first=True)(args, kwargs)) is None) is fits


def test_arguments_may_be_any_sequence_and_mapping():
    check = ArgumentCheck(lambda a, *, b: None, skip_first=False)
    check((1,), {"b": 2})
    check([1], {"b": 2})
    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        check([1], {"b": 2, "c": 3})


def test_a_wrapped_function_is_checked_as_the_one_inside():
    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        ArgumentCheck(wrap(lambda a: None), skip_first=False)((), {})
