"""Signs of collapse: what a history shows, and what a run that collapses leaves in its result."""

import numpy as np
import pytest

from pipelines.collapse import at_chance, fell, is_constant, signs_at, signs_of, spoiled, told
from pipelines.study.arms import resolve_arm
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from tests.support.trials import run_to_end

VAL = [50, 50]  # examples of each class
HEALTHY = {"val/accuracy": 0.9, "val/balanced_accuracy": 0.9, "val/one_class": 0.5}
CONSTANT = {"val/accuracy": 0.5, "val/balanced_accuracy": 0.5, "val/one_class": 1.0}


def signs(*rows):
    history = [{"epoch": n, "phase": "train", **row} for n, row in enumerate(rows, 1)]
    return signs_of(history, VAL, "accuracy")


def test_a_run_that_learns_shows_no_sign_though_it_begins_at_chance():
    assert signs(CONSTANT, HEALTHY, HEALTHY) == {}


def test_a_sign_is_told_with_the_epoch_since_which_it_holds():
    end = signs(CONSTANT, HEALTHY, CONSTANT, CONSTANT)
    assert end == {"constant": 3, "chance": 3, "fell": 3} and spoiled(end)


def test_a_run_that_recovers_has_not_collapsed():
    assert signs(HEALTHY, CONSTANT, HEALTHY) == {}


def test_one_class_for_everything_is_no_sign_where_val_has_one_class_only():
    rows = [{"epoch": 1, "phase": "train", "val/one_class": 1.0}]
    assert signs_of(rows, [100, 0], "accuracy") == {}
    assert signs_of(rows, [50, 50], "accuracy") == {"constant": 1}


@pytest.mark.parametrize(("norms", "expected"), [
    ([0.1, 0.9, 1e-7], {}),  # healthy ones fall by five orders as the learning rate does
    ([0.1, 6.0, 0.1], {"exploded": 2}),
    ([0.1, 1e-11, 0.0], {"vanished": 2}),
    ([0.1, 0.0, 0.1], {}),
])  # fmt: skip
def test_a_hypergradient_is_measured_by_that_of_the_first_epoch(norms, expected):
    found = signs(*({"meta/gradient_norm": norm} for norm in norms))
    assert found == expected and not spoiled(found)


def test_every_phase_has_a_first_epoch_of_its_own():
    rows = [
        {"epoch": n, "phase": phase, "meta/gradient_norm": norm}
        for n, (phase, norm) in enumerate([("a", 1e-9), ("b", 1.0), ("b", 0.5)], 1)
    ]
    assert signs_of(rows, VAL, "accuracy") == {}


def test_weight_on_almost_no_example_is_seen_in_the_epochs_that_are_observed():
    rows = [{"weights/effective": share} if share else {} for share in (0.5, 0, 0.01, 0, 0.001)]
    assert signs(*rows) == {"concentrated": 3}


def test_a_row_of_an_older_version_shows_what_it_has():
    old = [{k: v for k, v in row.items() if "one" not in k} for row in (HEALTHY, CONSTANT)]
    assert signs(*old) == {"chance": 2, "fell": 2}


def test_the_weights_of_the_best_epoch_may_be_older_than_the_collapse():
    result = {"collapse": {"exploded": 2, "fell": 9}, "selected_epoch": 5}
    assert signs_at(result, "last") == {"exploded": 2, "fell": 9}
    assert signs_at(result, "selected") == {"exploded": 2}
    assert signs_at({"selected_epoch": 5}, "selected") is None  # a result of 0.1


def test_signs_are_told_in_words():
    assert told({"chance": 4, "exploded": 2}) == (
        "it scores at chance since epoch 4; the hypergradient exploded in epoch 2"
    )
    assert told({}) == ""


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


def run(arm: str, lr: float, noise: float):
    """A result on digits with a long tail and symmetric noise, after six epochs."""
    protocol = {
        "data": {"source": "digits"},
        "noise": {"kind": "symmetric", "rate": noise},
        "imbalance": {"kind": "exponential", "factor": 20},
        "splits": {"meta": 50, "val": 100, "test": 500},
        "model": {"name": "mlp", "options": {"hidden": [32]}},
        "schedule": {"epochs": 6, "lr": lr},
    }
    phases = tuple(resolve_arm(arm, {}).resolve({}))
    rows, result = run_to_end(TrainingSpec(Protocol.model_validate(protocol), phases, 0, 0))
    return rows, result


def test_l2rw_collapses_at_a_high_rate_on_a_small_unequal_noisy_set_and_says_so():
    rows, result = run("l2rw", lr=2.0, noise=0.4)
    assert result["status"] == "completed"  # nothing else tells of it
    assert result["collapse"]["constant"] < 6 and result["collapse"]["chance"] < 6
    assert rows[-1]["val/one_class"] == 1.0


@pytest.mark.parametrize("arm", ["ce", "l2rw", "mw_net", "gce_learned", "finetune"])
def test_runs_that_learn_are_not_accused(arm):
    assert run(arm, lr=0.3 if arm in ("ce", "finetune") else 0.1, noise=0.1)[1]["collapse"] == {}
