"""Memory that is given back when an engine comes to rest."""

from __future__ import annotations

import pytest

from celeriac.worker.slack import Slack


@pytest.fixture
def slack(monkeypatch):
    found = Slack()
    found.trims = []
    monkeypatch.setattr(found, "_trim", found.trims.append)
    return found


def test_it_is_given_back_after_much_work_alone(slack):
    slack.note(999)
    slack.let_go()
    assert slack.trims == []
    slack.note(1)
    slack.let_go()
    slack.let_go()
    assert slack.trims == [0]


def test_without_the_library_s_help_nothing_is_done(slack, monkeypatch):
    monkeypatch.setattr(slack, "_trim", None)
    slack.note(10_000)
    slack.let_go()
