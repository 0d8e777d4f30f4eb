"""What is told of common knobs: both columns, what was chosen, what the answer would be without."""

import math

import pytest

from pipelines.report.common_values import common_values
from pipelines.report.glance import glance
from pipelines.report.pages import markdown
from pipelines.report.study_report import study_report
from pipelines.report.study_state import load_study_state
from pipelines.report.tables import columns, rows
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, write_study

BEST = {"l2rw": 0.0125, "ce": 0.05, "gce": 0.2}  # learning rates; the study's is 0.05
PEAK = {"l2rw": 0.9, "ce": 0.7, "gce": 0.8}
COMMON = {"common": {"schedule.lr": {"choices": [0.0125, 0.2]}}, "common_trials": 2}


def with_learning_rates(spec):
    """Scores fall by 10 points per factor of 4 between a trial's learning rate and its arm's."""
    result, history = completed(spec)
    lr = spec["phases"][0]["schedule"].get("lr", 0.05)
    arm, repeat = spec["arm"], spec["repeat"]
    score = PEAK[arm] - 0.1 * abs(math.log(lr / BEST[arm], 4)) + 0.002 * repeat
    result["val"] = {"last": score, "selected": score}
    result["held_out"]["score"] = {"last": score, "selected": score}
    return result, history


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    asked = small_study(["ce", "gce", "l2rw"], trials=3, repeats=3, seeds=2, **COMMON)
    return study_report(write_study(tmp_path_factory.mktemp("study"), asked, with_learning_rates))


def test_all_results_are_of_what_the_rule_chose_and_the_studys_values_stand_beside_them(report):
    results = report.results
    plain = results["at_study_values"]["arms"]
    for name, arm in results["arms"].items():
        steps = abs(math.log(0.05 / BEST[name], 4))
        assert arm["test"]["last"]["mean"] == pytest.approx(PEAK[name] + 0.002)
        assert plain[name]["test"]["last"]["mean"] == pytest.approx(PEAK[name] + 0.002 - steps / 10)
        assert arm["common"]["gain"]["mean"] == pytest.approx(steps / 10)


def test_what_was_chosen_in_each_repeat_is_told_with_its_cost(report):
    l2rw, ce = (report.results["arms"][name]["common"] for name in ("l2rw", "ce"))
    assert [c["values"] for c in l2rw["chosen"]] == [{"schedule.lr": 0.0125}] * 3
    assert [(c["index"], c["values"]) for c in ce["chosen"]] == [(0, {})] * 3
    run = report.results["arms"]["l2rw"]["passes"]["run"]
    assert l2rw["passes"] == pytest.approx(3 * run)
    assert report.results["common"]["trials"] == 2


def test_the_price_of_b_star_has_what_either_side_paid_for_its_common_knobs(report):
    [pair] = (p for p in report.results["pairs"] if (p["tuned"], p["untuned"]) == ("gce", "ce"))
    b_star, arms = pair["break_even"], report.results["arms"]
    run = {name: arms[name]["passes"]["run"] for name in ("gce", "ce")}
    chosen = {name: arms[name]["common"]["passes"] for name in ("gce", "ce")}
    assert b_star["budget"] == 0
    assert b_star["passes_saved"] == run["gce"] - run["ce"] + chosen["gce"] - chosen["ce"]


def test_all_trials_are_counted_whichever_column_they_are_for(report):
    ended = sum(arm["trials"]["completed"] for arm in report.results["arms"].values())
    assert ended == len(report.study_state.trials)
    trials = report.study_state.trials.values()
    assert report.results["cost"]["total"] == sum(t.result["cost"]["seconds"] for t in trials)


def test_val_labels_that_choose_a_rate_count_for_an_untuned_arm(report):
    assert report.results["arms"]["ce"]["clean_labels"]["select"] > 0
    assert report.results["at_study_values"]["arms"]["ce"]["clean_labels"]["select"] == 0


def test_the_answer_says_what_it_would_be_with_the_studys_values(report):
    told = report.results["answer"]["common"]
    assert told["sentence"].startswith("With the study's own values of schedule.lr the answer is")
    assert "The rule changes l2rw by +10.0 points" in told["sentence"]
    box = {line.question: line.short for line in glance(report.results, report.set_up)}
    assert box["What does choosing schedule.lr buy?"].startswith("l2rw: +10.0 points")


def test_tables_have_both_columns(report):
    [table] = common_values(report.results)
    [l2rw] = (row for row in table.rows if row["arm"].text == "l2rw")
    assert l2rw["difference"].text.startswith("+10.0")
    assert l2rw["values"].text == "0.0125; 0.0125; 0.0125"
    assert "study's values" in [column.heading for column in columns(report.results)]
    [ce] = (row["study"].text for row in rows(report.results) if row["arm"].text == "ce")
    assert ce.startswith("70.2")
    assert "Common knobs by one rule" in markdown(report)


def test_an_arm_without_common_knobs_says_so(tmp_path):
    asked = small_study(["ce", "clean_only_all"], trials=0, repeats=1, **COMMON)
    report = study_report(write_study(tmp_path, asked))
    cells = {row["arm"].text: row for row in common_values(report.results)[0].rows}
    assert cells["clean_only_all"]["values"].text == "nothing to choose"
    assert cells["clean_only_all"]["study"] == cells["clean_only_all"]["chosen"]


def test_a_study_that_has_only_begun_can_be_reported(tmp_path):
    asked = small_study(["ce", "gce", "l2rw"], trials=3, **COMMON)
    for limit in (1, 12, 40):
        place = write_study(tmp_path / str(limit), asked, with_learning_rates, limit)
        assert study_report(place).results["answer"]["common"]["sentence"]


def test_the_best_model_is_one_under_the_values_that_were_chosen(report):
    best = load_study_state(report.location)[1].best_run()
    assert (best.arm, best.config) == ("l2rw", {"schedule.lr": 0.0125})


def test_a_study_without_common_knobs_has_no_word_of_them(tmp_path):
    report = study_report(write_study(tmp_path, small_study(["ce", "gce"])))
    assert not {"common", "at_study_values"} & report.results.keys()
    assert not common_values(report.results)
    assert "common" not in report.results["answer"]
