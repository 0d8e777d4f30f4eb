"""Training agrees with independent loops, written from the papers, to the rounding of float64."""

import pytest

from benchmarks.fidelity import CASES, LOSSES, compare, compare_loss

ROUNDING = 1e-10


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_are_those_of_the_papers_formulas(name):
    errors = compare_loss(name)
    assert errors.keys() == {"losses", "gradients"} and max(errors.values()) < ROUNDING


@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_the_papers_algorithms(name):
    """Hypergradient, L2RW's weights; model, BatchNorm, meta-parameters after steps of training."""
    errors = compare(CASES[name], steps=(1, 3))
    assert {"hypergradient", "1 step", "3 steps"} <= errors.keys()
    assert ("weights" in errors) == (name == "l2rw")
    assert max(errors.values()) < ROUNDING


def test_another_look_ahead_is_noticed():
    case = CASES["mw_net_code"]
    longer = case.__class__(case.arm, case.losses, case.optimizer, case.meta, far=True)
    assert compare(longer, steps=(1,))["hypergradient"] > 0.1
