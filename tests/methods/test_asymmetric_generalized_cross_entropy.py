"""Asymmetric generalized cross-entropy: its limits, and an example's weight in closed form."""

import pytest
import torch

from methods.losses.asymmetric_generalized_cross_entropy import AsymmetricGeneralizedCrossEntropy
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.objective import Outputs
from tests.methods.cases import hard, logits, p_of
from tests.methods.test_robust_losses import weights


@pytest.mark.parametrize(("a", "q"), [(0.6, 0.6), (6.0, 1.5), (4.0, 0.2)])
def test_it_is_its_formula_and_weighs_by_p_times_a_power_of_a_and_p(a, q):
    z, method = logits(3.0), AsymmetricGeneralizedCrossEntropy(a, q)
    p = p_of(z)
    expected = ((a + 1) ** q - (a + p) ** q) / q
    torch.testing.assert_close(method(Outputs(z), hard()), expected)
    torch.testing.assert_close(weights(method, z), p * (a + p) ** (q - 1))


def test_without_a_it_is_generalized_cross_entropy():
    z = logits()
    found = AsymmetricGeneralizedCrossEntropy(0.01, 0.7)(Outputs(z), hard())
    expected = GeneralizedCrossEntropy(0.7)(Outputs(z), hard())
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_at_q_one_it_is_half_the_absolute_error_whatever_a():
    z = logits()
    found = AsymmetricGeneralizedCrossEntropy(3.0, 1.0)(Outputs(z), hard())
    torch.testing.assert_close(found, 1 - p_of(z))
