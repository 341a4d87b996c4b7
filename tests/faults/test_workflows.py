"""Workflows whose nodes and engines are killed at random: each comes to what it must, and ends once."""

from __future__ import annotations

import random
import time
from collections import Counter

from celeriac import chord
from tests.canvas.bench import Bench
from tests.canvas.ends import end_of, listed
from tests.canvas.interpreter import Ended, World, build, evaluate
from tests.canvas.tasks import make_tasks
from tests.canvas.trees import labelled
from tests.faults.conftest import Scale
from tests.faults.crew import Crew
from tests.faults.flows import random_workflow
from tests.faults.trouble import FaultPlace, runs_of
from tests.integration.worker.node import until

WAIT = 40.0
MEMBERS = 100
AHEAD = 8
"""Chords that are on their way at once."""


class FaultBench(Bench):
    """The client of a place whose nodes get killed."""

    def __init__(self, place: FaultPlace) -> None:
        super().__init__(place.client())
        self.tasks = make_tasks(self.app, self.ran.append)


def test_random_workflows_come_to_what_they_must_and_end_once(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    flows, kills = scale.of(25, 500), scale.of(4, 80)
    place.tasks = "flows"
    bench, crew = FaultBench(place), Crew(place, chance=chance)
    strikes = Counter(chance.choices(range(flows), k=kills))
    world, sent = World(), []
    for number in range(flows):
        tree = labelled(random_workflow(chance), f"{number}-")
        expected = evaluate(tree, (), world)
        sent.append((build(tree, bench).apply_async(), Ended(listed(expected.value), expected.error), tree))
        for _ in range(strikes[number]):
            time.sleep(chance.uniform(0, 0.1))
            crew.strike()
        if number % AHEAD == 0:
            end_of(bench, sent[-1][0], timeout=WAIT)
    for result, expected, tree in sent:
        assert end_of(bench, result, timeout=WAIT) == expected, tree
    labels = set(world.runs)
    until(lambda: labels <= set(place.ledger.subjects("end")), "the last of the callbacks", deadline=WAIT)
    place.until_idle(deadline=WAIT)
    twice = ran_as_often_as_it_must(crew, labels)
    figures(tasks=len(labels), kills=crew.kills, lost=0, duplicated=twice, workflows=flows)


def test_chords_of_a_hundred_members_run_their_body_once(
    place: FaultPlace, scale: Scale, chance: random.Random, figures
) -> None:
    chords, kills = scale.of(30, 1000), scale.of(4, 100)
    place.tasks = "flows"
    crew = Crew(place, chance=chance)
    member, body = place.app.signature("flows.member"), place.app.signature("flows.body")
    strikes = Counter(chance.choices(range(chords), k=kills))
    for number in range(chords):
        members = [member.clone((one,)) for one in range(MEMBERS)]
        chord(members, body.clone(kwargs={"subject": str(number)})).apply_async()
        for _ in range(strikes[number]):
            time.sleep(chance.uniform(0, 0.1))
            crew.strike()
        until(lambda least=number - AHEAD: place.ledger.count("end") > least, "the end of a chord", deadline=WAIT)
    wanted = {f"{number}={sum(range(MEMBERS))}" for number in range(chords)}
    until(lambda: wanted <= set(place.ledger.subjects("end")), "the last of the bodies", deadline=WAIT)
    place.until_idle(deadline=WAIT)
    assert set(place.ledger.subjects("end")) == wanted
    twice = ran_as_often_as_it_must(crew, {str(number) for number in range(chords)})
    figures(tasks=chords * (MEMBERS + 1), kills=crew.kills, lost=0, duplicated=twice, chords=chords)


def ran_as_often_as_it_must(crew: Crew, subjects: set[str]) -> int:
    """Fail unless these ran and no others, each once but for runs in processes that were killed.

    Return how many ran more than once.
    """
    runs = runs_of(crew.place.ledger)
    assert set(runs) == subjects
    doubled = {subject: many for subject, many in runs.items() if sum(run.pid not in crew.cut for run in many) > 1}
    assert doubled == {}
    assert crew.place.stats().dead == 0
    return sum(len(many) > 1 for many in runs.values())
