"""What the configuration of the layers says is what the tree holds."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "celeriac"

CLIENTS = {"redis": {"hiredis"}, "memory": set(), "rabbitmq": set(), "sqlite": set()}
"""The third-party client that each driver is for."""


def lines(section: str, option: str) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return parser[f"importlinter:contract:{section}"][option].split()


def drivers() -> set[str]:
    return {path.parent.name for path in (PACKAGE / "drivers").glob("*/store.py")}


def test_every_driver_is_kept_apart_from_the_others() -> None:
    assert set(lines("drivers", "modules")) == {f"celeriac.drivers.{name}" for name in drivers()}


def test_no_driver_may_be_named_by_the_core() -> None:
    assert set(lines("drivers-by-url", "forbidden_modules")) == {f"celeriac.drivers.{name}" for name in drivers()}


def test_every_layer_above_the_drivers_is_held_to_finding_them_by_url() -> None:
    """Whatever exists of the packages that could be tempted is in the list."""
    may_be_tempted = {"app", "canvas", "worker", "beat", "monitor", "cli", "dashboard"}
    there = {f"celeriac.{name}" for name in may_be_tempted if (PACKAGE / name).is_dir()}
    assert set(lines("drivers-by-url", "source_modules")) == there


def test_every_client_library_is_forbidden_outside_its_own_driver() -> None:
    assert set(lines("optional", "forbidden_modules")) == set().union(*(CLIENTS[name] for name in drivers()))
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    guarded = {name.split(".")[1] for name in lines("optional", "source_modules")}
    assert {"app", "cli", "interfaces", "result", "settings", "wire", "worker"} <= guarded <= there


def test_every_optional_dependency_is_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[<>=!~;\[ ]", line)[0] for line in project["dependencies"]}
    assert core == {"msgspec", "click", "rich", "tzdata"}
    extras = {
        name: [re.split(r"[<>=!~;\[ ]", line)[0] for line in lines]
        for name, lines in project["optional-dependencies"].items()
    }
    for driver in drivers():
        assert CLIENTS[driver] <= set(extras.get(driver, ()))
