"""Check that files and functions stay small enough to be read in one go.

    python scripts/check_sizes.py

The limits and the exceptions, each with its reason, are in size-limits.toml. A file counts all its lines, a function
those from `def` to its end. An exception that is not needed any more is an error too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".lua", ".sql", ".sh"}


@dataclass(frozen=True, slots=True)
class Size:
    """How many lines one thing has. `name` is a path, or ``path::qualified_name`` for a function."""

    name: str
    kind: str
    lines: int


@dataclass(frozen=True, slots=True)
class Limit:
    """How many lines a kind of thing may have: as a rule, and with an exception at most."""

    rule: int
    most: int


def main() -> int:
    """Print what is too large; return the exit code."""
    table = tomllib.loads((ROOT / "size-limits.toml").read_text(encoding="utf-8"))
    limits = {kind: Limit(**table[kind]) for kind in ("file", "function")}
    exceptions = {entry["name"]: int(entry["lines"]) for entry in table.get("exception", []) if entry["reason"]}
    problems = list(check(sizes(), limits, exceptions))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def check(found: Iterable[Size], limits: Mapping[str, Limit], exceptions: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each thing over its limit, and for each exception that is wrong."""
    unused = set(exceptions)
    for size in found:
        unused.discard(size.name)
        limit, allowed = limits[size.kind], exceptions.get(size.name)
        if allowed is None and size.lines > limit.rule:
            yield f"{size.name}: {size.lines} lines, more than the {limit.rule} that a {size.kind} may have; split it"
        elif allowed is not None and size.lines <= limit.rule:
            yield f"{size.name}: the exception is not needed any more ({size.lines} lines)"
        elif allowed is not None and size.lines > min(allowed, limit.most):
            yield f"{size.name}: {size.lines} lines, over its exception of {allowed} (at most {limit.most})"
    for name in sorted(unused):
        yield f"{name}: listed in size-limits.toml, but there is no such file or function"


def sizes() -> Iterator[Size]:
    """Yield the size of every file that git knows or would add, and of every function in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in sorted(set(listed.stdout.splitlines())):
        path = ROOT / name
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        yield Size(name, "file", len(text.splitlines()))
        if path.suffix == ".py":
            yield from functions(name, ast.parse(text), "")


def functions(file: str, node: ast.AST, prefix: str) -> Iterator[Size]:
    """Yield the size of every function below `node`, inner ones and methods included."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(file, child, prefix)
            continue
        qualified = f"{prefix}{child.name}"
        if not isinstance(child, ast.ClassDef) and child.end_lineno is not None:
            yield Size(f"{file}::{qualified}", "function", child.end_lineno - child.lineno + 1)
        yield from functions(file, child, f"{qualified}.")


if __name__ == "__main__":
    sys.exit(main())
