"""The asymmetric unhinged loss: its limits, and an example's weight in closed form."""

import pytest
import torch

from methods.losses.asymmetric_unhinged import AsymmetricUnhinged
from methods.objective import Outputs
from tests.methods.cases import hard, logits, p_of
from tests.methods.test_robust_losses import weights


@pytest.mark.parametrize(("a", "q"), [(5.5, 3.0), (1.5, 0.9), (3.0, 0.1)])
def test_it_is_its_formula_and_weighs_by_p_times_a_power_of_what_a_exceeds_p_by(a, q):
    z, method = logits(3.0), AsymmetricUnhinged(a, q)
    p = p_of(z)
    expected = ((a - p) ** q - (a - 1) ** q) / q
    torch.testing.assert_close(method(Outputs(z), hard()), expected)
    torch.testing.assert_close(weights(method, z), p * (a - p) ** (q - 1))


def test_at_q_one_it_is_half_the_absolute_error_whatever_a():
    z = logits()
    torch.testing.assert_close(AsymmetricUnhinged(3.0, 1.0)(Outputs(z), hard()), 1 - p_of(z))
