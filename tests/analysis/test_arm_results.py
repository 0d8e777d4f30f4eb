"""What results.json says of one arm: scores, costs, what was selected, its budget curve."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.analysis.results import summarise
from tests.support.synthetic import ARMS, record, synthetic_study
from tests.support.synthetic_results import INFO, RECORDS, info_with, pair_of, said, strict


def test_the_test_scores_of_both_epoch_rules_are_near_the_truth(results):
    test = results["arms"]["l2rw"]["test"]
    assert test["last"]["low"] < 0.925 < test["last"]["high"]
    assert test["selected"]["mean"] == pytest.approx(test["last"]["mean"] + 0.001)
    assert (test["last"]["n"], test["last"]["repeats"]) == (6, 3)


def test_cost_and_clean_labels_stand_beside_an_arms_score(results):
    arm = results["arms"]["gce_plus_meta"]
    assert arm["passes"] == {"run": 3600, "search": 21 * 3600, "ratio_to_ce": 1.2}
    assert arm["clean_labels"] == {"train": 100, "select": 100}
    assert results["arms"]["ce"]["clean_labels"] == {"train": 0, "select": 0}


def test_each_repeat_selects_the_configuration_with_the_best_val(results):
    for chosen in results["arms"]["gce"]["selected"]:
        search = [
            r for r in RECORDS if (r.arm, r.role, r.repeat) == ("gce", "search", chosen["repeat"])
        ]
        assert chosen["val"] == max(r.val for r in search)
        assert chosen["config"] == search[chosen["index"]].config


def test_of_several_best_configurations_the_first_is_selected():
    tied = [replace(r, val=0.5) if r.role == "search" else r for r in RECORDS]
    arm = summarise(tied, INFO)["arms"]["gce"]
    assert [chosen["index"] for chosen in arm["selected"]] == [0, 0, 0]


def test_tunability_is_the_selected_minus_the_default_configuration_both_retrained(results):
    gce = next(arm for arm in ARMS if arm.name == "gce")
    tunability = results["arms"]["gce"]["tunability"]
    assert tunability["mean"] == pytest.approx(gce.peak - gce.truth(gce.default), abs=0.01)


def test_sensitivity_names_the_knob_its_factors_and_its_worst_case(results):
    (knob,) = results["arms"]["l2rw"]["sensitivity"]
    assert knob["knob"] == "schedule.lr"
    assert [v["factor"] for v in knob["values"]] == [0.25, 0.5, 2, 4]
    assert knob["spread"] == pytest.approx(0.02, abs=0.01)
    assert knob["worst"] == min(v["test"]["mean"] for v in knob["values"])
    assert knob["gain"] == pytest.approx(np.mean(knob["gain_by_repeat"]))


def test_a_sensitivity_trial_that_moves_two_hyperparameters_is_an_error():
    trial = next(r for r in RECORDS if r.role == "sensitivity")
    with pytest.raises(ValueError, match=f"{trial.key} moves"):
        summarise([replace(trial, config={"schedule.lr": 1.0, "x": 2})], INFO)


def test_a_knob_that_its_factor_leaves_at_0_has_no_sensitivity():
    """Weight decay 0, as in many a schedule: a quarter of it and four times it are 0 too."""
    arms = {"l2rw": INFO["arms"]["l2rw"] | {"default": {"schedule.weight_decay": 0.0}}}
    at_zero = [
        record("sensitivity", k, repeat, val=0.9, arm="l2rw", config={"schedule.weight_decay": 0.0})
        for k in range(4)
        for repeat in range(2)
    ]
    results = summarise(at_zero, info_with(arms=arms))
    assert results["arms"]["l2rw"]["sensitivity"] == []


def test_a_trial_with_two_roles_counts_once():
    final = [r for r in RECORDS if r.role == "final"]
    double = [*final, *(replace(r, role="default") for r in final if r.arm == "gce")]
    trials = summarise(double, INFO)["arms"]["gce"]["trials"]
    assert (trials["completed"], trials["shared"]) == (6, 6)


def test_a_budget_curve_starts_at_the_default_and_ends_near_the_best(results):
    curve = results["arms"]["gce"]["budget"]["curve"]
    gce = next(arm for arm in ARMS if arm.name == "gce")
    assert [p["budget"] for p in curve] == list(range(21))
    assert curve[0]["mean"] == pytest.approx(gce.truth(gce.default), abs=0.015)
    assert curve[-1]["mean"] == pytest.approx(gce.peak, abs=0.015)


def test_the_cost_of_a_budget_is_the_default_and_the_random_trials(results):
    curve = results["arms"]["gce_plus_meta"]["budget"]["curve"]
    assert [p["passes"] for p in curve[:3]] == [0, 2 * 3600, 3 * 3600]


def test_the_searchs_own_test_scores_are_never_used(results):
    lucky = [
        replace(r, test={"last": 9.0, "selected": 9.0}) if r.role == "search" else r
        for r in RECORDS
    ]
    assert summarise(lucky, INFO) == results | {"provenance": {}}


def test_the_retrained_score_of_the_default_averages_its_curve_and_default_runs(results):
    runs = [
        [
            r.test["last"]
            for r in RECORDS
            if r.arm == "gce"
            and r.repeat == repeat
            and (r.role == "default" or (r.role, r.index) == ("curve", 0))
        ]
        for repeat in range(3)
    ]
    expected = np.mean([np.mean(scores) for scores in runs])
    assert results["arms"]["gce"]["budget"]["curve"][0]["mean"] == pytest.approx(expected)


def test_one_search_gives_no_interval_and_says_so():
    results = strict(summarise([r for r in RECORDS if r.repeat == 0], INFO))
    assert all(p["low"] is None for p in results["arms"]["gce"]["budget"]["curve"])
    assert "gce: 1 search; interval not available" in results["missing"]
    assert pair_of(results, "l2rw", "gce_plus_meta")["break_even"]["interval"] is False
    assert "1 search; interval not available" in said(results)
    assert "this data seed and search only" not in said(results)  # two run seeds give none either
    records, info = synthetic_study(repeats=1, trials=3, seeds=3)
    assert "this data seed and search only" in said(strict(summarise(records, info)))


def test_a_search_that_is_not_random_shows_the_incumbents_it_had():
    results = strict(summarise(RECORDS, info_with(search="tpe")))
    budget = results["arms"]["gce"]["budget"]
    assert budget["curve"] == [] and pair_of(results, "l2rw", "gce")["break_even"] is None
    vals = [row["val"] for row in budget["incumbents"] if row["repeat"] == 0]
    assert vals == sorted(vals) and len(vals) > 1
