"""What went wrong is said beside the answer: chance, collapse, a fall, divergence, starvation."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.analysis.record import HeldOut
from pipelines.analysis.results import summarise
from pipelines.analysis.troubles import at_chance, fell, is_constant
from tests.support.synthetic import ARMS, synthetic_study

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


@pytest.mark.parametrize(("right", "expected"), [(50, True), (54, True), (63, False)])
def test_chance_is_within_two_standard_errors_of_one_class_in_two(right, expected):
    """Of 100 examples of two classes 50 are right by chance, with a standard error of 5."""
    wrong = 100 - right
    half = np.array([[right / 2, wrong / 2], [wrong / 2, right / 2]])
    assert at_chance(half) == expected


def test_chance_and_constancy_do_not_depend_on_how_unequal_the_classes_are():
    majority = np.array([[90, 0], [10, 0]])
    assert at_chance(majority) and is_constant(majority)
    skilled = np.array([[80, 10], [2, 8]])
    assert not at_chance(skilled) and not is_constant(skilled)
    assert not is_constant(np.array([[100, 0], [0, 0]]))  # there was one class only


def test_a_fall_is_one_below_the_middle_between_chance_and_the_best():
    assert fell(0.9, 0.49, 10) and not fell(0.9, 0.51, 10)
