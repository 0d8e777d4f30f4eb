"""Taylor cross-entropy: an example's weight in closed form, its ends, and bad orders."""

import pytest
import torch

from methods.losses.taylor_cross_entropy import TaylorCrossEntropy
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import hard, logits, p_of
from tests.methods.test_robust_losses import weights


@pytest.mark.parametrize("t", [1, 2, 6])
def test_an_examples_weight_is_what_a_geometric_series_sums_to(t):
    z = logits(3.0)
    torch.testing.assert_close(weights(TaylorCrossEntropy(t), z), 1 - (1 - p_of(z)) ** t)


def test_the_first_order_is_half_the_absolute_error_and_a_high_one_cross_entropy():
    z = logits()
    torch.testing.assert_close(TaylorCrossEntropy(1)(Outputs(z), hard()), 1 - p_of(z))
    torch.testing.assert_close(
        TaylorCrossEntropy(1500)(Outputs(z), hard()), cross_entropy(z, hard().y)
    )


def test_an_order_is_a_whole_number_from_one_on():
    with pytest.raises(ValueError, match="t = 0 must be a whole number from 1 on"):
        TaylorCrossEntropy(0)
