"""What went wrong is said beside the answer: chance, collapse, a fall, divergence, starvation."""

from dataclasses import replace

import pytest

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json
from pipelines.analysis.pairs import compare_arms
from pipelines.analysis.record import HeldOut
from pipelines.analysis.results import summarise
from pipelines.analysis.sentences import interval_told
from pipelines.collapse import Signs
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study

GOOD = [[45, 5], [5, 45]]
CONSTANT = [[50, 0], [50, 0]]
BLIND = [[26, 24], [25, 25]]

RECORDS, INFO = synthetic_study(ARMS, trials=2)


def study(**of_arms):
    """Records in which arms have such final runs: `confusion`, or fields of the record."""
    records = []
    for record in RECORDS:
        changes = of_arms.get(record.arm, {}) | of_arms.get("all", {})
        confusion = changes.get("confusion", GOOD)
        held_out = HeldOut(confusion, None)
        fields = {"held_out": {"last": held_out, "selected": held_out}}
        fields |= {name: value for name, value in changes.items() if name != "confusion"}
        records.append(replace(record, **fields) if record.role == "final" else record)
    return records


def warned(records) -> list[tuple[str, str | None]]:
    warnings = summarise(records, INFO)["answer"]["warnings"]
    assert all(w["text"].endswith(".") and (w["arm"] or "Every") in w["text"] for w in warnings)
    return [(w["trouble"], w["arm"]) for w in warnings]


def test_a_study_in_which_nothing_went_wrong_warns_of_nothing():
    assert warned(study()) == []


def test_an_arm_that_predicts_one_class_has_collapsed():
    assert warned(study(l2rw={"confusion": CONSTANT})) == [("collapsed", "l2rw")]


def test_an_arm_whose_predictions_know_nothing_of_the_label_is_at_chance():
    assert warned(study(l2rw={"confusion": BLIND})) == [("chance", "l2rw")]


def test_where_every_arm_is_at_chance_this_is_all_there_is_to_say():
    assert warned(study(all={"confusion": BLIND})) == [("chance", None)]


def test_an_arm_whose_val_fell_far_below_its_own_best_is_named():
    assert warned(study(ce={"best_val": 0.9, "last_val": 0.65})) == [("fell", "ce")]
    assert warned(study(ce={"best_val": 0.9, "last_val": 0.75})) == []


def test_a_control_with_far_fewer_steps_than_plain_cross_entropy_is_starved():
    steps = {"all": {"steps": 66}}
    assert warned(study(**steps)) == []
    records = [replace(r, steps=6) if r.arm == "clean_only" else r for r in study(**steps)]
    assert warned(records) == [("starved", "clean_only")]
    text = summarise(records, INFO)["answer"]["warnings"][0]["text"]
    assert "6 training steps where ce takes 66" in text


def test_diverged_trials_are_counted():
    records = [
        replace(r, status="diverged", held_out={}) if (r.arm, r.index) == ("ce", 0) else r
        for r in study()
    ]
    assert ("diverged", "ce") in warned(records)


def collapses(arm: str, of_seed: dict[int, Signs]):
    """Records in which an arm's final runs of those seeds show signs of collapse, others none."""
    return [
        replace(r, collapse=of_seed.get(r.index, {}) if (r.arm, r.role) == (arm, "final") else {})
        for r in study()
    ]


def test_one_collapsed_run_is_enough_to_be_named_with_its_epoch():
    records = collapses("l2rw", {0: {"chance": 4, "exploded": 2}})
    warnings = {w["trouble"]: w["text"] for w in summarise(records, INFO)["answer"]["warnings"]}
    finals = len({r.repeat for r in records if (r.arm, r.role) == ("l2rw", "final")})
    runs = 2 * finals
    assert warnings == {
        "some collapsed": f"{finals} of {runs} final runs of l2rw collapsed: it scores at chance "
        "since epoch 4; the hypergradient exploded in epoch 2.",
    }


def test_a_hypergradient_that_vanished_is_told_but_is_no_collapse():
    records = collapses("l2rw", {0: {"vanished": 3}, 1: {"vanished": 5}})
    assert warned(records) == [("vanished", "l2rw")]
    results = summarise(records, INFO)
    assert results["arms"]["l2rw"]["trials"]["collapsed"] == 0
    assert "since epoch 3 to 5" in results["answer"]["warnings"][0]["text"]


def test_the_epoch_of_an_arms_collapse_is_told_where_results_know_it():
    constant = study(l2rw={"confusion": CONSTANT, "collapse": {"constant": 7}})
    assert "since epoch 7." in summarise(constant, INFO)["answer"]["warnings"][0]["text"]


def test_collapsed_runs_are_counted_by_sign_and_by_arm():
    records = collapses("l2rw", {0: {"chance": 4, "fell": 4, "exploded": 2}})
    arms = summarise(records, INFO)["arms"]
    n = arms["l2rw"]["trials"]["collapsed"]
    assert n > 0 and arms["l2rw"]["collapse"] == {"chance": n, "fell": n, "exploded": n}
    assert arms["ce"]["trials"]["collapsed"] == 0 and arms["ce"]["collapse"] == {}


CE = SyntheticArm("ce", "plain", 0.64, clean_train=0)
TEN = [[450 if i == j else 50 for j in range(10)] for i in range(10)]  # of ten classes


def far_below(score: float, run_sd: float = 0.005, **how) -> list[dict]:
    """The warnings of a study of ten classes in which `ce` scores 64 % and an arm `score`."""
    arm = SyntheticArm("fgsm_training", "tuned loss", score, clean_train=0)
    records, info = synthetic_study((CE, arm), run_sd=run_sd, **how)
    held_out = dict.fromkeys(("last", "selected"), HeldOut(TEN, None))
    results = summarise([replace(r, held_out=held_out) for r in records], info)
    found = [w for w in results["answer"]["warnings"] if w["trouble"] == "far below"]
    pair = {name: arm["test"]["last"] for name, arm in results["arms"].items()}
    assert not found or pair["fgsm_training"]["mean"] < pair["ce"]["mean"]
    return found


def test_an_arm_that_loses_most_of_what_plain_cross_entropy_learned_is_named():
    """A study had 15 % where plain cross-entropy had 64, and told nobody: chance was at 10."""
    [warning] = far_below(0.15)
    assert warning["arm"] == "fgsm_training"
    assert "fgsm_training is far worse than ce: -4" in warning["text"]
    assert warning["text"].endswith("], more than half of what ce has above chance.")


@pytest.mark.parametrize(("score", "named"), [(0.35, True), (0.40, False), (0.63, False)])
def test_it_is_named_below_the_middle_between_chance_and_plain_cross_entropy(score, named):
    assert bool(far_below(score, run_sd=0.001)) == named


@pytest.mark.parametrize("seed", range(5))
def test_that_it_is_worse_is_said_where_its_whole_interval_is_below_the_middle(seed):
    """Scores about the middle, which scatter: said if and only if the upper end is below."""
    arm = SyntheticArm("fgsm_training", "tuned loss", 0.33, clean_train=0)
    records, info = synthetic_study((CE, arm), run_sd=0.02, seed=seed)
    held_out = dict.fromkeys(("last", "selected"), HeldOut(TEN, None))
    results = summarise([replace(r, held_out=held_out) for r in records], info)
    level = results["arms"]["ce"]["test"]["last"]["mean"]
    text = "".join(w["text"] for w in results["answer"]["warnings"])
    end = upper_end(records, info["margin"])
    assert ("is far worse" in text) == (end < -(level - 0.1) / 2)


def upper_end(records, margin):
    """Of the interval of the arm's difference to `ce`."""
    ours, theirs = (
        ArmRuns(name, [r for r in records if r.arm == name], "last", "accuracy")
        for name in ("fgsm_training", "ce")
    )
    return interval_told(estimate_json(compare_arms(ours, theirs, margin).difference))[1]


def test_of_one_repeat_it_is_said_what_was_seen_and_no_more():
    [warning] = far_below(0.15, repeats=1, seeds=1)
    assert "scores far below ce" in warning["text"] and "worse" not in warning["text"]
    assert "too few repeats for an interval" in warning["text"]
    assert not far_below(0.45, repeats=1, seeds=1)


def test_an_arm_that_collapsed_is_not_said_to_be_far_below_too():
    low = {"confusion": CONSTANT, "test": {"last": 0.1, "selected": 0.1}}
    assert warned(study(l2rw=low)) == [("collapsed", "l2rw")]
