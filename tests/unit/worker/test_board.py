"""What engines run, as their supervisor reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.worker.board import Board, as_written
from celeriac.worker.renewals import Claim


@pytest.fixture
def board():
    board = Board(engines=2, rows=3)
    yield board
    board.close()


def test_a_run_stands_on_the_board_from_its_beginning_to_its_end(board):
    mine = board.of(1)
    row = mine.begin("tag-1", 5.0)
    (run,) = board.of(1).running()
    assert (run.tag, run.started, run.overdue, run.task_id) == ("tag-1", 5.0, float("inf"), "")
    mine.end(row)
    assert board.of(1).running() == []


def test_a_run_with_a_deadline_tells_whose_it_is(board):
    board.of(2).begin("tag", 5.0, 7.5, task_id="id-\u00e4", name="proj.task")
    (run,) = board.of(2).running()
    assert (run.overdue, run.task_id, run.name) == (7.5, "id-\u00e4", "proj.task")


def test_engines_do_not_see_each_others_rows(board):
    board.of(1).begin("one", 1.0)
    board.of(2).begin("two", 1.0)
    assert [run.tag for run in board.of(1).running()] == ["one"]
    assert [run.tag for run in board.of(2).running()] == ["two"]


def test_as_many_runs_as_there_are_rows_stand_there_at_once(board):
    mine = board.of(1)
    rows = [mine.begin(f"tag-{number}", 1.0) for number in range(3)]
    mine.end(rows[1], b"")
    mine.begin("again", 2.0)
    assert sorted(run.tag for run in mine.running()) == ["again", "tag-0", "tag-2"]


def test_a_run_that_ended_stands_there_for_a_while_with_what_is_to_be_stored(board):
    mine = board.of(1)
    mine.end(mine.begin("plain", 1.0), b"")
    mine.end(mine.begin("stored", 1.0, 2.0, task_id="id", name="name"), b"the result")
    mine.end(mine.begin("large", 1.0), bytes(511))
    mine.end(mine.begin("open", 1.0))
    assert board.of(1).running() == []
    assert board.of(1).ended() == {"plain": b"", "stored": b"the result"}
    assert [run.tag for run in board.of(1).unkept()] == ["large", "open"]
    for number in range(250):
        mine.end(mine.begin(f"more-{number}", 1.0), b"")
    assert "plain" in board.of(1).ended()
    mine.begin("late", 5.0, 6.0, task_id="other", name="name")
    (run,) = board.of(1).running()
    assert (run.tag, run.task_id) == ("late", "other")
    for number in range(10):
        mine.end(mine.begin(f"last-{number}", 1.0), b"")
    assert "plain" not in board.of(1).ended()


def test_a_successor_finds_a_clean_board(board):
    mine = board.of(1)
    mine.begin("dead", 1.0)
    mine.end(mine.begin("ended", 1.0), b"")
    mine.ring.put(b"note")
    mine.clear()
    assert (board.of(1).running(), board.of(1).ended(), list(board.of(1).ring.take())) == ([], {}, [])


def test_another_process_reads_what_it_inherits_open_and_nothing_is_left_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    board = Board(engines=2, rows=3, is_spawned=True)
    board.of(2).begin("tag", 1.0)
    read = (
        f"from celeriac.worker.board import EngineBoard as E; print(E.open({board.path!r}, index=2, rows=3).running())"
    )
    told = subprocess.run([sys.executable, "-c", read], pass_fds=[board.handle], capture_output=True, check=True)
    assert b"tag='tag'" in told.stdout
    board.close()
    assert list(tmp_path.iterdir()) == []


def test_a_child_writes_where_its_parent_reads(board):
    pid = os.fork()
    if pid == 0:
        board.of(1).begin("from the child", 1.0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert [run.tag for run in board.of(1).running()] == ["from the child"]


@pytest.mark.parametrize("tag", ["short", "x" * 143, "y" * 500, "\u00e4" * 100])
def test_a_tag_of_any_length_is_found_again(board, tag):
    board.of(1).begin(tag, 1.0)
    assert [run.tag for run in board.of(1).running()] == [as_written(tag)]


def test_renewals_stand_beside_the_runs_until_the_engine_is_replaced(board):
    claim = Claim(moment=1.0, number=1)
    mine = board.of(1)
    for number in range(3):
        mine.begin(f"tag-{number}", 5.0)
    mine.renewals.renewed(7.0, through=1)
    mine.pulse.asking()
    opened = board.of(1)
    assert opened.renewals.sure_at(claim) == 7.0
    assert [run.tag for run in opened.running()] == ["tag-0", "tag-1", "tag-2"]
    assert board.of(2).renewals.sure_at(claim) == 1.0
    mine.clear()
    assert opened.renewals.sure_at(claim) == 1.0


def test_the_file_of_a_board_has_its_room_on_the_disk_from_the_beginning():
    board = Board(engines=4, rows=100, is_spawned=True)  # a hole that finds no room ends the process
    status = Path(board.path).stat()
    board.close()
    assert status.st_blocks * 512 >= status.st_size > 4 * 100 * 500


def test_a_board_that_finds_no_place_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="TMPDIR"):
        Board(engines=1, rows=1, is_spawned=True)


def test_what_has_a_deadline_is_found_until_it_has_ended(board):
    mine, read = board.of(1), board.of(1)
    mine.begin("endless", 1.0)
    assert read.with_deadline() == []
    row = mine.begin("limited", 2.0, 9.0, task_id="id", name="name")
    for _ in range(2):
        assert [run.tag for run in read.with_deadline()] == ["limited"]
    mine.end(row, b"")
    assert read.with_deadline() == []
