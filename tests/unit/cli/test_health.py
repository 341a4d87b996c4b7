"""``health``: the exit code says whether a worker does its work."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import Result

from celeriac.worker.health_file import HealthReport, State, write_report
from tests.unit.cli.conftest import Project


def health(project: Project, *arguments: str) -> Result:
    return project.run("health", "--file", "%n.health", "-n", "web@box", *arguments)


def say(state: State = "healthy", *, pid: int | None = None, age: float = 0.0, reason: str = "") -> None:
    """Write what a node would say of itself."""
    written = time.time() - age
    report = HealthReport(pid=pid or os.getpid(), nodename="web@box", state=state, written=written, reason=reason)
    write_report(Path("web.health"), report)


@pytest.mark.parametrize("state", ["healthy", "starting", "stopping"])
def test_a_worker_that_does_its_work_is_exit_code_0(project: Project, state: State) -> None:
    say(state)
    result = health(project)
    assert (result.exit_code, result.stdout) == (0, f"web@box is {state}\n")


def test_nothing_is_said_of_a_healthy_worker_when_asked_for_quiet(project: Project) -> None:
    say()
    result = health(project, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_a_failing_worker_is_exit_code_1_with_the_reason(project: Project) -> None:
    say("failing", reason="upkeep did not succeed for 31 s")
    result = health(project, "-q")
    assert (result.exit_code, result.stdout) == (1, "web@box is failing: upkeep did not succeed for 31 s\n")


def test_json_shows_the_whole_report_and_keeps_the_exit_code(project: Project) -> None:
    say("failing", reason="why")
    result = health(project, "--json")
    shown = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (shown["pid"], shown["nodename"], shown["state"], shown["reason"]) == (
        os.getpid(), "web@box", "failing", "why",
    )  # fmt: skip


def test_where_there_is_no_file_there_is_no_node(project: Project) -> None:
    result = health(project)
    assert result.exit_code == 69
    assert "web.health is missing" in result.stderr


def test_a_file_that_is_too_old_counts_as_none(project: Project) -> None:
    say(age=12.0)
    result = health(project)
    assert result.exit_code == 69
    assert "has said nothing for 12 s" in result.stderr


def test_a_file_whose_process_has_ended_counts_as_none(project: Project) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    say(pid=pid)
    result = health(project)
    assert result.exit_code == 69
    assert f"Process {pid} of web@box has ended" in result.stderr


def test_a_file_that_is_no_report_counts_as_none(project: Project) -> None:
    Path("web.health").write_text("{}", encoding="ascii")
    result = health(project)
    assert result.exit_code == 69
    assert "cannot be read" in result.stderr


def test_the_environment_may_name_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    say()
    monkeypatch.setenv("CELERIAC_WORKER_HEALTH_FILE", "web.health")
    assert project.run("health").exit_code == 0
