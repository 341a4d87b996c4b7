"""The file with a node's process id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.worker.pidfile import pidfile


def test_the_pidfile_holds_the_process_id_while_the_node_runs(tmp_path: Path):
    path = tmp_path / "node.pid"
    with pidfile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_without_a_pidfile_nothing_is_written():
    with pidfile(None):
        pass


@pytest.mark.parametrize("left", ["999999999\n", "not a number", "", "0\n", "-1\n"])
def test_a_file_that_a_dead_process_left_is_taken_over(tmp_path: Path, left):
    path = tmp_path / "node.pid"
    path.write_text(left)
    with pidfile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_living_process_keeps_its_file(tmp_path: Path):
    path = tmp_path / "node.pid"
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(ImproperlyConfigured, match=f"process {os.getppid()} runs already"), pidfile(str(path)):
        pass
    assert path.exists()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path):
    with (
        pytest.raises(ImproperlyConfigured, match=r"nowhere/node\.pid cannot be written"),
        pidfile(str(tmp_path / "nowhere" / "node.pid")),
    ):
        pass
