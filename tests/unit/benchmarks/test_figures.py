from xml.etree import ElementTree as ET

from benchmarks import plot, report
from benchmarks.figures import Figure, Target, medians, percentile
from benchmarks.scenarios import SCENARIOS
from benchmarks.systems import SYSTEMS


def test_a_target_that_is_a_share_of_celerys_figure_is_met_by_less_of_a_cost():
    figure = Figure("cost", "cost", "µs", target=Target(1 / 10, of_celery=True))
    assert figure.is_met(9.9, 100.0) is True
    assert figure.is_met(10.1, 100.0) is False
    assert figure.is_met(9.9, None) is None


def test_a_target_of_its_own_is_met_by_more_of_a_rate():
    figure = Figure("rate", "rate", "/s", more=True, target=Target(50.0))
    assert figure.is_met(50.0, None) is True
    assert figure.is_met(49.0, 1.0) is False


def test_a_figure_without_a_target_is_not_judged():
    assert Figure("rate", "rate", "/s").is_met(1.0, 1.0) is None


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
    record = {
        "date": "2026-01-31T12:00:00+00:00",
        "rounds": 1,
        "machine": {"cores": 2, "cpu": "a <fast> one", "memory_gib": 4.0, "system": "Linux", "load": [0.1, 0.1, 0.1]},
        "versions": {"redis-server": "7.0", "celeriac": {"python": "3.11"}},
        "calibration": [{"per_second": 1e6, "per_cpu_second": 2e6}],
        "medians": {"floor": {"bulk_rate": 5.0}, "celeriac": {"bulk_rate": 4.0, "enqueue_cpu": 10.0}, "celery": {}},
    }
    paths = report.write(record, SCENARIOS, SYSTEMS, tmp_path, name="run")
    assert sorted(path.name for path in paths) == ["run.json", "run.svg", "run.txt"]
    assert "client CPU per message" in (tmp_path / "run.txt").read_text()
    assert ET.fromstring(plot.svg(record, SCENARIOS, SYSTEMS)).tag.endswith("svg")
