"""The statements in ``sql/*.sql``, by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Final

_MARK: Final = "-- name: "


_SCHEMAS: Final = ("schema", "schema_groups", "schema_revocations")
"""What each version of the schema added to the one before."""


def schema(*, beyond: int) -> list[str]:
    """Return the statements that make a store of the newest version from one of the version `beyond`; 0 is empty."""
    return [statement for file in _SCHEMAS[beyond:] for statement in _text(file).split(";\n") if statement.strip()]


def load(file: str) -> Mapping[str, str]:
    """Return the statements of one file, by the names that stand above them in it, without their comments."""
    statements = {}
    for section in _text(file).split(_MARK)[1:]:
        name, _, rest = section.partition("\n")
        lines = [line for line in rest.splitlines() if not line.startswith("--")]
        statements[name.strip()] = "\n".join(lines).strip().rstrip(";")
    return statements


def _text(file: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
