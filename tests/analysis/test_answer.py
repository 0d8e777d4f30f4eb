"""The answer at a glance: which arms it is about, and what it never leaves out."""

from dataclasses import replace

import pytest

from pipelines.analysis.results import summarise
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study
from tests.support.synthetic_results import INFO, RECORDS, failed, info_with

CE = SyntheticArm("ce", "plain", 0.90, clean_train=0)
L2RW = SyntheticArm("l2rw", "meta-learned weights", 0.904, passes=9000)
FINETUNE = SyntheticArm("finetune", "control", 0.903, passes=3300)


def answer_of(*arms: SyntheticArm, **how):
    return summarise(*synthetic_study(arms, **how))["answer"]


def test_of_arms_within_the_margin_the_simplest_is_to_be_used():
    use = answer_of(L2RW, FINETUNE, CE, run_sd=0.0005)["use"]
    assert use["arm"] == "ce" and use["alike"] == ["ce", "finetune", "l2rw"]
    assert use["sentence"].startswith("Use ce: ") and "simplest of 3 arms" in use["sentence"]


def test_a_better_arm_is_to_be_used_however_complicated():
    better = replace(L2RW, peak=0.95)
    use = answer_of(CE, FINETUNE, better, run_sd=0.0005)["use"]
    assert (use["arm"], use["best"], use["gap"], use["open"]) == ("l2rw", "l2rw", None, [])


def test_of_two_arms_of_a_kind_the_cheaper_one_is_simpler():
    dear, cheap = replace(L2RW, name="dear"), replace(L2RW, name="cheap", passes=4000)
    assert answer_of(dear, cheap, run_sd=0.0005)["use"]["arm"] == "cheap"


def test_a_simpler_arm_with_a_lower_mean_that_is_not_shown_to_be_worse_is_named():
    """Three repeats that scatter by 3 points cannot tell 2 points."""
    use = answer_of(replace(CE, peak=0.88), L2RW, run_sd=0.03, seed=3)["use"]
    assert use["arm"] == "l2rw" and [gap["arm"] for gap in use["open"]] == ["ce"]
    assert (
        "Simpler, with a lower mean, but not shown to be worse by more than that: ce"
        in (use["sentence"])
    )


def test_one_run_an_arm_chooses_nothing():
    use = answer_of(CE, L2RW, repeats=1, seeds=1)["use"]
    assert use["sentence"].startswith("Too few repeats to choose")


def test_the_arm_to_use_is_compared_by_test_and_the_best_chosen_by_val():
    lucky = [
        replace(r, test={"last": 0.99, "selected": 0.99}) if r.arm == "gce_learned" else r
        for r in RECORDS
    ]
    assert summarise(lucky, INFO)["answer"]["use"]["best"] == "finetune"


def test_self_tuning_is_set_against_plain_cross_entropy_a_control_and_the_best_tuned_arm(results):
    told = results["answer"]["self_tuning"]
    assert told["arm"] == "l2rw" and told["cost"] == pytest.approx(3.0)
    assert [gap["over"] for gap in told["gaps"]] == ["ce", "finetune", "gce_plus_meta"]
    sentence = told["sentence"]
    assert "better than ce" in sentence and "worse than finetune" in sentence
    assert "at equal clean labels" in sentence and "3.0 times the passes of ce" in sentence


def test_an_arm_without_clean_labels_is_set_against_arms_without_them():
    """Who can train it has none to fine-tune on."""
    free = SyntheticArm("free", "meta-learned weights", 0.93, clean_train=0)
    noise = SyntheticArm("random", "control", 0.89, clean_train=0)
    tuned = SyntheticArm("gce", "tuned loss", 0.91, tuned=True, clean_train=0)
    richer = SyntheticArm("gce_all", "tuned loss", 0.95, tuned=True)
    results = summarise(*synthetic_study([CE, FINETUNE, noise, tuned, richer, free]))
    headline, told = results["headline"], results["answer"]["self_tuning"]
    assert (headline["untuned"], headline["tuned"]) == ("free", "gce")
    assert told is not None
    assert [gap["over"] for gap in told["gaps"]] == ["ce", "random", "gce"]
    assert [(p["untuned"], p["control"]) for p in results["controls"]] == [("free", "random")]
    assert "free uses 0 clean labels to train" in " ".join(headline["sentences"])


def test_plain_cross_entropy_that_beats_both_arms_of_the_headline_is_told_of():
    """A study at 15 % noise had it above both, and did not say so."""
    arms = [replace(arm, peak=0.96) if arm.name == "ce" else arm for arm in ARMS]
    answer = answer_of(*arms, run_sd=0.002)
    assert answer["use"]["arm"] == "ce" and "worse than ce" in answer["self_tuning"]["sentence"]


def test_a_study_that_searched_nothing_says_so():
    """Its defaults are what was selected, with no difference and no interval."""
    told = answer_of(*ARMS, trials=0)
    assert told["tunings"] == []
    assert told["lines"][1]["text"] == (
        "Nothing was tuned: of each tuned arm there is its default alone."
    )


def test_each_tuned_arm_has_its_gain_and_how_often_its_default_won(results):
    tunings = {t["arm"]: t for t in results["answer"]["tunings"]}
    assert set(tunings) == {"gce", "gce_plus_meta"}
    for name, tuning in tunings.items():
        arm = results["arms"][name]
        assert tuning["gain"]["mean"] == arm["tunability"]["mean"]
        won = sum(chosen["index"] == 0 for chosen in arm["selected"])
        assert (tuning["default_won"], tuning["searches"]) == (won, 3)
    assert results["answer"]["tuning"] == "gce_plus_meta"


def test_the_lines_are_the_three_sentences_and_how_far_an_unfinished_study_is(results):
    answer = results["answer"]
    parts = (answer["use"], answer["tunings"][1], answer["self_tuning"])
    assert [line["text"] for line in answer["lines"]] == [part["sentence"] for part in parts]
    partial = summarise(RECORDS, info_with(runs={"done": 31, "planned": 84}))["answer"]
    assert partial["lines"][3]["text"] == "31 of 84 runs have ended: the answer may change."


def test_names_are_told_in_full_once():
    info = info_with(
        arms={
            name: arm | {"about": f"control: the {name} method (Doe & Roe 2018)"}
            for name, arm in INFO["arms"].items()
        }
    )
    text = " ".join(line["text"] for line in summarise(RECORDS, info)["answer"]["lines"])
    assert text.count("finetune (the finetune method)") == 1 and "Doe" not in text


def test_a_study_in_which_nothing_has_finished_has_lines_too():
    for records in ([], list(map(failed, RECORDS))):
        answer = summarise(records, INFO)["answer"]
        assert len(answer["lines"]) >= 3 and answer["use"] is None and answer["basis"] == ""


def test_an_oracle_is_shown_but_is_no_choice_and_wins_nothing():
    """It scores best of all, and nobody has what it reads."""
    bound = SyntheticArm("forward_oracle", "oracle", 0.99, clean_train=0)
    searched = SyntheticArm("oracle_tuned", "oracle", 0.985, tuned=True)
    results = summarise(*synthetic_study((*ARMS, bound, searched), run_sd=0.002))
    without = summarise(*synthetic_study(ARMS, run_sd=0.002))
    answer = results["answer"]
    assert results["arms"]["forward_oracle"]["test"]["last"]["mean"] > 0.98
    assert answer["use"]["arm"] == without["answer"]["use"]["arm"]
    assert "oracle" not in str(answer["lines"]) + str(answer["tunings"])
    read = [p for p in results["pairs"] if "oracle" in p["tuned"] + p["untuned"]]
    assert read and not any(pair["same_clean_labels"] for pair in read)  # they have the truth
    headline = results["headline"]
    assert (headline["untuned"], headline["tuned"]) == ("l2rw", "gce_plus_meta")
