"""results.json: what a study says, and what it says when parts of it are missing."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.analysis.record import StudyInfo
from pipelines.analysis.results import summarise
from pipelines.analysis.results_csv import to_csv
from pipelines.analysis.scenarios import summarise_scenarios
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study

RECORDS, FACTS = synthetic_study()
DEFAULT_DOES = SyntheticArm("gce_plus_meta", "tuned loss", 0.93, tuned=True, default=0.6)


@pytest.fixture(scope="module")
def results():
    return summarise(RECORDS, FACTS, {"version": "1"})


@pytest.fixture(scope="module")
def summary():
    records = {f"flip {s}": synthetic_study(seed=s)[0] for s in range(3)}
    return strict(summarise_scenarios(records, FACTS))


def pair_of(results, untuned, tuned):
    return next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (untuned, tuned))


def said(results) -> str:
    """The headline, as one text."""
    return " ".join(results["headline"]["sentences"])


def facts_with(**changes) -> StudyInfo:
    return StudyInfo(**{**FACTS, **changes})


def failed(record):
    nothing = dict.fromkeys(record.test, math.nan)
    return replace(record, status="failed", val=math.nan, test=nothing, passes=0, seconds=math.nan)


def strict(results):
    """The results, which must be JSON without NaN."""
    return json.loads(json.dumps(results, allow_nan=False))


class TestArms:
    def test_test_scores_of_both_epoch_rules_near_the_truth(self, results):
        found = results["arms"]["l2rw"]["test"]
        assert found["last"]["low"] < 0.925 < found["last"]["high"]
        assert found["selected"]["mean"] == pytest.approx(found["last"]["mean"] + 0.001)
        assert (found["last"]["n"], found["last"]["repeats"]) == (6, 3)

    def test_cost_and_clean_labels_stand_beside_the_score(self, results):
        arm = results["arms"]["gce_plus_meta"]
        assert arm["passes"] == {"run": 3600, "search": 21 * 3600, "ratio_to_ce": 1.2}
        assert arm["clean_labels"] == {"train": 100, "select": 100}
        assert results["arms"]["ce"]["clean_labels"] == {"train": 0, "select": 0}

    def test_selected_is_the_best_on_val_of_each_repeat(self, results):
        for chosen in results["arms"]["gce"]["selected"]:
            search = [
                r
                for r in RECORDS
                if (r.arm, r.role, r.repeat) == ("gce", "search", chosen["repeat"])
            ]
            assert chosen["val"] == max(r.val for r in search)
            assert chosen["config"] == search[chosen["index"]].config

    def test_the_first_of_several_best_is_selected(self):
        tied = [replace(r, val=0.5) if r.role == "search" else r for r in RECORDS]
        arm = summarise(tied, FACTS)["arms"]["gce"]
        assert [chosen["index"] for chosen in arm["selected"]] == [0, 0, 0]

    def test_tunability_is_selected_minus_default_both_retrained(self, results):
        gce = next(arm for arm in ARMS if arm.name == "gce")
        found = results["arms"]["gce"]["tunability"]
        assert found["mean"] == pytest.approx(gce.peak - gce.truth(gce.default), abs=0.01)

    def test_sensitivity_names_the_knob_its_factors_and_its_worst_case(self, results):
        (knob,) = results["arms"]["l2rw"]["sensitivity"]
        assert knob["knob"] == "schedule.lr"
        assert [v["factor"] for v in knob["values"]] == [0.25, 0.5, 2, 4]
        assert knob["spread"] == pytest.approx(0.02, abs=0.01)
        assert knob["worst"] == min(v["test"]["mean"] for v in knob["values"])
        assert knob["gain"] == pytest.approx(np.mean(knob["gain_by_repeat"]))

    def test_a_sensitivity_trial_that_moves_two_hyperparameters_is_an_error(self):
        trial = next(r for r in RECORDS if r.role == "sensitivity")
        with pytest.raises(ValueError, match=f"{trial.key} moves"):
            summarise([replace(trial, config={"schedule.lr": 1.0, "x": 2})], FACTS)

    def test_a_trial_with_two_roles_counts_once(self):
        final = [r for r in RECORDS if r.role == "final"]
        double = [*final, *(replace(r, role="default") for r in final if r.arm == "gce")]
        trials = summarise(double, FACTS)["arms"]["gce"]["trials"]
        assert (trials["completed"], trials["shared"]) == (6, 6)


class TestBudget:
    def test_curve_starts_at_the_default_and_ends_near_the_best(self, results):
        curve = results["arms"]["gce"]["budget"]["curve"]
        gce = next(arm for arm in ARMS if arm.name == "gce")
        assert [p["budget"] for p in curve] == list(range(21))
        assert curve[0]["mean"] == pytest.approx(gce.truth(gce.default), abs=0.015)
        assert curve[-1]["mean"] == pytest.approx(gce.peak, abs=0.015)

    def test_cost_is_the_default_and_the_random_trials(self, results):
        curve = results["arms"]["gce_plus_meta"]["budget"]["curve"]
        assert [p["passes"] for p in curve[:3]] == [0, 2 * 3600, 3 * 3600]

    def test_the_searchs_own_test_scores_are_never_used(self, results):
        lucky = [
            replace(r, test={"last": 9.0, "selected": 9.0}) if r.role == "search" else r
            for r in RECORDS
        ]
        assert summarise(lucky, FACTS) == results | {"provenance": {}}

    def test_retrained_score_of_the_default_averages_its_curve_and_default_runs(self, results):
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

    def test_one_search_gives_no_interval_and_says_so(self):
        found = strict(summarise([r for r in RECORDS if r.repeat == 0], FACTS))
        assert all(p["low"] is None for p in found["arms"]["gce"]["budget"]["curve"])
        assert "gce: one search; interval not available" in found["missing"]
        assert pair_of(found, "l2rw", "gce_plus_meta")["break_even"]["interval"] is False
        assert "one search; interval not available" in said(found)
        assert "this data seed and search only" in said(found)

    def test_other_searches_show_the_incumbents_they_had(self):
        found = strict(summarise(RECORDS, facts_with(search="tpe")))
        budget = found["arms"]["gce"]["budget"]
        assert budget["curve"] == [] and pair_of(found, "l2rw", "gce")["break_even"] is None
        vals = [row["val"] for row in budget["incumbents"] if row["repeat"] == 0]
        assert vals == sorted(vals) and len(vals) > 1


class TestPairs:
    def test_a_difference_is_untuned_minus_tuned_paired_by_seeds(self, results):
        pair = pair_of(results, "l2rw", "gce_plus_meta")
        finals = {(r.arm, r.repeat, r.index): r.test["last"] for r in RECORDS if r.role == "final"}
        expected = [
            np.mean([finals["l2rw", r, s] - finals["gce_plus_meta", r, s] for s in range(2)])
            for r in range(3)
        ]
        assert pair["by_repeat"] == pytest.approx(expected)
        assert pair["difference"]["mean"] == pytest.approx(np.mean(expected))

    def test_break_even_comes_in_trials_passes_and_seconds(self, results):
        found = pair_of(results, "l2rw", "gce_plus_meta")["break_even"]
        assert found["budget"] > 1 and found["trials"] == pytest.approx(found["budget"] + 1)
        assert found["passes"] == pytest.approx(found["trials"] * 3600)
        assert found["passes_saved"] == pytest.approx(found["passes"] + 3600 - 9000)
        seconds = {(c["tuned"], c["untuned"]): c["seconds"] for c in results["cost"]["break_even"]}
        assert seconds["gce_plus_meta", "l2rw"] == pytest.approx(found["passes"] / 1000)

    def test_beyond_b_and_nothing_to_tune(self, results):
        beyond = pair_of(results, "finetune", "gce")["break_even"]
        assert (beyond["label"], beyond["passes"], beyond["passes_saved"]) == ("> 20", None, None)
        zero = pair_of(results, "ce", "gce_plus_meta")["break_even"]
        assert zero["label"] == "0: the default already does it"
        assert (zero["trials"], zero["passes"]) == (0, 0)

    def test_the_halved_space_holds_fewer_trials_and_suits_this_optimum_better(self, results):
        pair = pair_of(results, "l2rw", "gce_plus_meta")
        whole, halved = pair["break_even"], pair["break_even_halved_space"]
        assert halved["largest"] < whole["largest"]
        assert halved["budget"] < whole["budget"]

    def test_win_probability_falls_as_the_rival_tunes(self, results):
        wins = pair_of(results, "l2rw", "gce_plus_meta")["win_probability"]
        assert wins[0]["probability"] > 0.9 > wins[-1]["probability"]
        assert wins[3]["probability"] == pytest.approx(np.mean(wins[3]["by_repeat"]))

    def test_holm_adjusts_over_the_tuned_arms(self, results):
        raw = [p for p in results["pairs"] if p["untuned"] == "l2rw"]
        adjusted = [h for h in results["holm"] if h["untuned"] == "l2rw"]
        smaller, larger = sorted(zip(raw, adjusted, strict=True), key=lambda p: p[0]["p_superior"])
        assert smaller[1]["p_superior"] == pytest.approx(2 * smaller[0]["p_superior"])
        assert larger[1]["p_superior"] == pytest.approx(larger[0]["p_superior"])


class TestHeadline:
    def test_compares_at_equal_clean_labels_and_names_a_control_that_wins(self, results):
        headline = results["headline"]
        assert (headline["untuned"], headline["tuned"]) == ("l2rw", "gce_plus_meta")
        assert "Control finetune does better than l2rw" in said(results)
        assert "clean_only" not in said(results)

    def test_no_claim_without_n_interval_clean_labels_and_cost(self, results):
        sentence = said(results)
        for part in ("95 % interval", "n = 6 runs in 3 repeats", "margin 1.0", "last epoch"):
            assert part in sentence
        assert "l2rw uses 100 clean labels to train and 0 to select" in sentence
        assert "3.0x the passes of ce" in sentence and "example passes" in sentence

    def test_is_plain_when_inconclusive(self):
        records, info = synthetic_study(ARMS, run_sd=0.05, seeds=1)
        sentence = said(summarise(records, info))
        assert re.search(r"is inconclusive \(about \d+ repeats? more would decide\)", sentence)

    def test_says_when_the_default_already_does_it(self):
        arms = (DEFAULT_DOES, SyntheticArm("l2rw", "meta-learned weights", 0.90, passes=9000))
        sentence = said(summarise(*synthetic_study(arms)))
        assert "l2rw is worse than tuned gce_plus_meta" in sentence
        assert "gce_plus_meta needs no tuning to match l2rw" in sentence

    def test_a_control_ahead_by_luck_only_is_not_called_better(self):
        arms = (*ARMS[:3], SyntheticArm("finetune", "control", 0.93), ARMS[5])
        records, info = synthetic_study(arms, run_sd=0.02)
        sentence = said(summarise(records, info))
        assert "beats" not in sentence

    def test_arms_are_chosen_by_val_not_by_test(self):
        lucky = [
            replace(r, test={"last": 0.99, "selected": 0.99}) if r.arm == "gce_learned" else r
            for r in RECORDS
        ]
        assert summarise(lucky, FACTS)["headline"]["untuned"] == "l2rw"

    def test_a_better_arm_with_other_clean_labels_is_not_the_rival(self):
        more_labels = SyntheticArm("gce_all", "tuned loss", 0.99, tuned=True, clean_train=200)
        headline = summarise(*synthetic_study((*ARMS, more_labels)))["headline"]
        assert headline["tuned"] == "gce_plus_meta"

    def test_no_tuned_arm_with_the_same_clean_labels(self):
        records, info = synthetic_study((ARMS[1], ARMS[5]))
        found = summarise(records, info)
        assert found["headline"]["tuned"] is None
        assert "No tuned arm with 100 clean training labels" in said(found)

    def test_negated_log_likelihood_is_not_in_points(self):
        sentence = said(summarise(RECORDS, facts_with(metric="nll")))
        assert "points" not in sentence and "margin 0.0100" in sentence


class TestPartialStudies:
    @pytest.mark.parametrize(
        "phases",
        [(), ("search",), ("final",), ("search", "curve"), ("search", "final"), ("sensitivity",)],
    )
    def test_any_phases_will_do_and_gaps_are_named(self, phases):
        found = strict(summarise([r for r in RECORDS if r.role in phases], FACTS))
        assert found["missing"] and said(found)
        assert to_csv(found).count("\n") == len(ARMS) + 1

    def test_a_growing_study_summarises_at_every_step(self):
        order = np.random.default_rng(0).permutation(len(RECORDS))
        for size in range(0, len(RECORDS), 30):
            some = [RECORDS[i] for i in order[:size]]
            strict(summarise(some, FACTS))
            strict(summarise([failed(r) if i % 3 else r for i, r in enumerate(some)], FACTS))

    def test_failed_trials_count_as_failed(self):
        some = [failed(r) if (r.role, r.index) == ("final", 0) else r for r in RECORDS]
        found = strict(summarise(some, FACTS))
        arm = found["arms"]["l2rw"]
        assert (arm["test"]["last"]["n"], arm["test"]["last"]["failed"]) == (3, 3)
        assert arm["trials"]["failed"] == 3
        assert "l2rw: 3 of 6 final runs failed" in found["missing"]

    def test_a_failed_search_trial_spent_its_budget_at_the_price_of_the_others(self):
        some = [failed(r) if (r.role, r.index) == ("search", 3) else r for r in RECORDS]
        found = strict(summarise(some, FACTS))
        curve = found["arms"]["gce"]["budget"]["curve"]
        assert (len(curve), curve[-1]["repeats"]) == (21, 3)
        assert curve[-1]["passes"] == pytest.approx(21 * 3000)
        assert found["cost"]["total"] == pytest.approx(sum(r.seconds for r in some if r.passes))

    def test_a_search_of_which_only_the_default_finished(self):
        some = [failed(r) if r.role == "search" and r.index else r for r in RECORDS]
        found = strict(summarise(some, FACTS))["arms"]["gce"]
        means = [point["mean"] for point in found["budget"]["curve"]]
        assert means == pytest.approx([means[0]] * 21)
        assert [chosen["index"] for chosen in found["selected"]] == [0, 0, 0]

    def test_a_study_in_which_everything_failed(self):
        found = strict(summarise(map(failed, RECORDS), FACTS))
        assert found["arms"]["l2rw"]["test"]["last"]["mean"] is None
        assert "no answer yet" in said(found)

    def test_a_failed_curve_run_takes_its_repeat_out_and_is_named(self):
        best = summarise(RECORDS, FACTS)["arms"]["gce"]["selected"][1]["index"]
        second = max(
            (
                r
                for r in RECORDS
                if (r.arm, r.role, r.repeat) == ("gce", "search", 1) and r.index != best
            ),
            key=lambda r: r.val,
        )
        place = ("gce", "curve", 1, second.index)
        some = [failed(r) if (r.arm, r.role, r.repeat, r.index) == place else r for r in RECORDS]
        found = summarise(some, FACTS)
        assert found["arms"]["gce"]["budget"]["curve"][0]["repeats"] == 2
        assert "gce: budget curve lacks retrained runs in repeats [1]" in found["missing"]

    def test_a_diverged_run_counts_with_its_score(self):
        some = [
            replace(
                r, status="diverged", val=-math.inf, test={"last": -math.inf, "selected": -math.inf}
            )
            if (r.arm, r.role, r.repeat, r.index) == ("l2rw", "final", 0, 0)
            else r
            for r in RECORDS
        ]
        found = strict(summarise(some, FACTS))
        assert found["arms"]["l2rw"]["trials"]["diverged"] == 1
        assert found["arms"]["l2rw"]["test"]["last"]["mean"] is None

    def test_final_runs_of_what_a_smaller_search_selected_are_left_out(self):
        better = replace(
            next(r for r in RECORDS if (r.arm, r.role, r.repeat) == ("gce", "search", 0)),
            key="gce-search-0-21",
            index=21,
            config={"q": 0.61},
            val=1.0,
        )
        found = summarise([*RECORDS, better], FACTS)
        assert found["arms"]["gce"]["test"]["last"]["n"] == 4
        assert "gce: 2 final runs are of a configuration no longer selected" in found["missing"]


class TestFile:
    def test_two_runs_differ_only_in_cost_and_provenance(self, results):
        again = [replace(r, seconds=r.seconds * 1.1) for r in reversed(RECORDS)]
        other = summarise(again, FACTS, {"version": "2"})
        assert {k for k in results if results[k] != other[k]} == {"cost", "provenance"}

    def test_every_field_is_documented(self, results):
        text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
        documented = set(re.findall(r"`([\w.]+)`", text))
        documented |= {part for name in documented for part in name.split(".")}
        arm, pair = results["arms"]["gce"], results["pairs"][0]
        for level in (
            results,
            arm,
            pair,
            pair["break_even"],
            arm["test"]["last"],
            arm["passes"],
            arm["trials"],
            arm["budget"],
            arm["sensitivity"][0],
            results["cost"],
        ):
            assert set(level) <= documented

    def test_csv_has_a_row_per_arm_with_n_interval_rule_labels_and_cost(self, results):
        rows = list(csv.DictReader(io.StringIO(to_csv(results))))
        assert [row["arm"] for row in rows] == list(results["arms"])
        row = next(row for row in rows if row["arm"] == "l2rw")
        assert float(row["test_last_low"]) < float(row["test_last_mean"])
        assert row["test_last_n"] == "6" and row["clean_labels_train"] == "100"
        assert row["passes_run"] == "9000.0" and row["selection"]


class TestScenarios:
    def test_one_verdict_per_pair_over_all_scenarios(self, summary):
        (found,) = [
            row for row in summary["aggregate"] if (row["untuned"], row["tuned"]) == ("l2rw", "gce")
        ]
        means = [
            pair_of(results, "l2rw", "gce")["difference"]["mean"]
            for results in summary["scenarios"].values()
        ]
        assert found["difference"]["mean"] == pytest.approx(np.mean(means))
        assert found["verdict"] == "superior"

    def test_transfer_needs_the_same_configurations(self, summary):
        assert summary["transfer"][0] == {"arm": "gce", "regret": []}

    def test_transfer_between_equal_scenarios_costs_nothing(self):
        found = summarise_scenarios({"a": RECORDS, "b": RECORDS}, FACTS)
        row = found["transfer"][0]["regret"][0]
        assert (row["from"], row["to"], row["mean"], row["repeats"]) == ("a", "b", 0, 3)
