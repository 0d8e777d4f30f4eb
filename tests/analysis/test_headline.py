"""The answer in words: which arms it is about, and what it never leaves out."""

import re
from dataclasses import replace

from pipelines.analysis.results import summarise
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study
from tests.support.synthetic_results import INFO, RECORDS, info_with, said

DEFAULT_DOES = SyntheticArm("gce_plus_meta", "tuned loss", 0.93, tuned=True, default=0.6)


def test_the_headline_compares_at_equal_clean_labels_and_names_a_control_that_wins(results):
    headline = results["headline"]
    assert (headline["untuned"], headline["tuned"]) == ("l2rw", "gce_plus_meta")
    assert "Control finetune does better than l2rw" in said(results)
    assert "clean_only" not in said(results)


def test_the_headline_claims_nothing_without_n_interval_clean_labels_and_cost(results):
    sentence = said(results)
    for part in ("95 % interval", "n = 6 runs in 3 repeats", "margin 1.0", "last epoch"):
        assert part in sentence
    assert "l2rw uses 100 clean labels to train and 0 to select" in sentence
    assert "3.0x the passes of ce" in sentence and "example passes" in sentence


def test_the_headline_says_when_it_is_inconclusive_and_what_would_decide():
    records, info = synthetic_study(ARMS, run_sd=0.05, seeds=1)
    sentence = said(summarise(records, info))
    assert re.search(r"is inconclusive: .* about \d+ repeats? more would decide\)", sentence)


def test_the_headline_says_when_the_default_already_does_it():
    arms = (DEFAULT_DOES, SyntheticArm("l2rw", "meta-learned weights", 0.90, passes=9000))
    sentence = said(summarise(*synthetic_study(arms)))
    assert "l2rw is worse than tuned gce_plus_meta" in sentence
    assert "gce_plus_meta needs no tuning to match l2rw" in sentence


def test_a_control_ahead_by_luck_only_is_not_called_better():
    arms = (*ARMS[:3], SyntheticArm("finetune", "control", 0.93), ARMS[5])
    records, info = synthetic_study(arms, run_sd=0.02)
    sentence = said(summarise(records, info))
    assert (
        "does better than" not in sentence
        and "Control finetune is not shown to do worse" in sentence
    )


def test_the_headlines_arms_are_chosen_by_val_not_by_test():
    lucky = [
        replace(r, test={"last": 0.99, "selected": 0.99}) if r.arm == "gce_learned" else r
        for r in RECORDS
    ]
    assert summarise(lucky, INFO)["headline"]["untuned"] == "l2rw"


def test_a_better_arm_with_other_clean_labels_is_not_the_rival():
    more_labels = SyntheticArm("gce_all", "tuned loss", 0.99, tuned=True, clean_train=200)
    headline = summarise(*synthetic_study((*ARMS, more_labels)))["headline"]
    assert headline["tuned"] == "gce_plus_meta"


def test_the_headline_says_when_no_tuned_arm_has_the_same_clean_labels():
    records, info = synthetic_study((ARMS[1], ARMS[5]))
    results = summarise(records, info)
    assert results["headline"]["tuned"] is None
    assert "No tuned arm with 100 clean training labels" in said(results)


def test_negated_log_likelihood_is_not_in_points():
    sentence = said(summarise(RECORDS, info_with(metric="nll")))
    assert "points" not in sentence and "margin 0.0100" in sentence
