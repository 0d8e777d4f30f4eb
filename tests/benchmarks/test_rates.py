"""Studies at three rates: what is asked, and what their table says of arms below the plain ones."""

import pytest
from rich.console import Console

from benchmarks.rates import at_rates, rows, table
from pipelines.report.study_state import StudyState
from tests.conftest import small_study
from tests.support.synthetic import record


def test_every_arm_runs_as_it_is_at_a_quarter_once_and_four_times_the_rate():
    study = at_rates(small_study(), ["ce", "mw_net_far"], repeats=4, seeds=2)
    request = study.request
    assert (request.trials, request.repeats, request.seeds, request.curve) == (0, 4, 2, False)
    rates = sorted(protocol.schedule.lr for protocol in study.protocols.values())
    assert rates == pytest.approx([0.0125, 0.05, 0.2])
    assert set(study.arms) == {"ce", "mw_net_far"}


def runs(arm, scores, **how):
    return [
        record("final", 0, repeat, arm=arm, val=score, test={"last": score}, **how)
        for repeat, score in enumerate(scores)
    ]


@pytest.fixture
def entries(monkeypatch):
    study = at_rates(small_study(), ["ce", "l2rw"], repeats=3, seeds=1)
    plain = runs("ce", [0.7, 0.8, 0.75]) + runs("l2rw", [0.8, 0.85, 0.8])
    collapsed = runs("ce", [0.7, 0.8, 0.75]) + runs("l2rw", [0.1, 0.9, 0.8], collapse={"fell": 2})
    by_scenario = {name: collapsed if name else plain for name in study.protocols}
    state = object.__new__(StudyState)
    monkeypatch.setattr(StudyState, "records_in", by_scenario, raising=False)
    object.__setattr__(state, "study", study)
    return rows(state)


def test_an_entry_has_means_over_repeats_and_the_paired_distance_to_the_plain_arms(entries):
    (own,) = [e for e in entries if e["arm"] == "l2rw" and e["factor"] == 1]
    assert own["test"] == pytest.approx(100 * (0.8 + 0.85 + 0.8) / 3)
    assert own["over ce"] == pytest.approx(100 * (0.1 + 0.05 + 0.05) / 3)
    assert (own["n"], own["collapsed"], own["diverged"]) == (3, 0, 0)


def test_the_table_shows_the_lowest_of_the_three_and_how_many_collapsed(entries):
    console = Console(width=120, record=True)
    console.print(table("rates", entries))
    (line,) = [line for line in console.export_text().splitlines() if "l2rw" in line]
    cells = [cell.strip() for cell in line.split("│") if cell.strip()]
    assert cells == ["l2rw", "60.0", "81.7", "60.0", "60.0", "-15.0", "6 of 9"]
