from xml.etree import ElementTree as ET

from benchmarks import plot, report
from benchmarks.figures import PEERS, Figure, Target, Verdict, medians, percentile, verdicts
from benchmarks.scenarios import SCENARIOS
from benchmarks.systems import SYSTEMS

COST = Figure("cost", "cost", "µs", targets=(Target(1 / 10, of=("celery",)), Target(1, of=("celery", "huey"))))
RATE = Figure("rate", "rate", "/s", more=True, targets=(Target(50.0), Target(4, of=("celery", "huey"))))


def met(figure, **values):
    judged = verdicts(figure, {system: {figure.key: value} for system, value in values.items()})
    return [verdict.is_met for verdict in judged]


def test_a_target_that_is_a_share_of_celerys_figure_is_met_by_less_of_a_cost():
    assert met(COST, celeriac=9.9, celery=100.0) == [True, True]
    assert met(COST, celeriac=10.1, celery=100.0) == [False, True]


def test_a_target_beside_several_systems_counts_against_the_best_of_them():
    assert met(COST, celeriac=9.0, celery=100.0, huey=8.0) == [True, False]
    assert met(RATE, celeriac=100.0, celery=10.0, huey=30.0) == [True, False]
    assert verdicts(RATE, {"celeriac": {"rate": 90.0}, "celery": {"rate": 10.0}, "huey": {"rate": 30.0}})[1] == Verdict(
        RATE, bound=4, reached=3.0, beside="huey"
    )


def test_a_target_of_its_own_is_met_by_more_of_a_rate():
    assert met(RATE, celeriac=50.0) == [True]
    assert met(RATE, celeriac=49.0) == [False]


def test_nothing_is_judged_without_our_figure_or_without_a_target():
    assert verdicts(RATE, {"celery": {"rate": 1.0}}) == []
    assert verdicts(Figure("rate", "rate", "/s"), {"celeriac": {"rate": 1.0}}) == []


def test_medians_pass_over_what_was_never_measured():
    assert medians({"rate": [3.0, 1.0, 2.0], "other": []}) == {"rate": 2.0}


def test_percentiles_are_values_that_occurred():
    values = [float(number) for number in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_names_of_figures_and_scenarios_are_given_once():
    keys = [figure.key for scenario in SCENARIOS for figure in scenario.figures]
    names = [scenario.name for scenario in SCENARIOS] + [system.name for system in SYSTEMS]
    assert len(set(keys)) == len(keys)
    assert len(set(names)) == len(names)


def test_a_record_is_shown_and_drawn_also_where_a_system_lacks_a_figure(tmp_path):
    others = {name: {} for name in PEERS}
    record = {
        "date": "2026-01-31T12:00:00+00:00",
        "rounds": 1,
        "machine": {"cores": 2, "cpu": "a <fast> one", "memory_gib": 4.0, "system": "Linux", "load": [0.1, 0.1, 0.1]},
        "commit": "0123456789ab",
        "versions": {"redis-server": "7.0", "celeriac": {"python": "3.11"}},
        "calibration": [{"per_second": 1e6, "per_cpu_second": 2e6}],
        "medians": {
            "floor": {"bulk_rate": 5.0},
            "celeriac": {"bulk_rate": 4.0, "enqueue_cpu": 10.0, "depth_1_rate": 2.0},
            **others,
        },
    }
    paths = report.write(record, SCENARIOS, SYSTEMS, tmp_path, name="run")
    assert sorted(path.name for path in paths) == ["run.json", "run.svg", "run.txt"]
    shown = (tmp_path / "run.txt").read_text()
    assert "client CPU per message" in shown
    assert "From 1 to 8 engines" in shown
    assert ET.fromstring(plot.svg(record, SCENARIOS, SYSTEMS)).tag.endswith("svg")
