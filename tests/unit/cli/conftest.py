"""A user's project in a temporary directory, and the command line run inside this process."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from celeriac import Celeriac
from celeriac.cli.main import cli
from celeriac.drivers.memory import store as memory

_VARIABLES = ("CELERIAC_", "CELERY_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


class Project:
    """A directory that is the current one and in Python's path, as on a user's machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"memory://{uuid.uuid4().hex}"
        self.app = Celeriac("seen-from-the-test", broker=self.url, set_as_current=False)

    def write(self, path: str, text: str) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("URL", repr(self.url)), encoding="utf-8")

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=typed, prog_name="celeriac")

    def on_store(self, *arguments: str, typed: str | None = None) -> Result:
        """Run a command on this project's store, without an application."""
        return self.run("-b", self.url, *arguments, typed=typed)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(_VARIABLES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "")  # empty counts as not there; what --config sets is undone with it
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    made = Project(tmp_path)
    yield made
    made.app.close()
    memory.reset(made.url.removeprefix("memory://"))
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
