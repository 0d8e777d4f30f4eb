"""Partially Huberised cross-entropy: what is clipped, and its ends."""

import torch

from methods.losses.partially_huberised import PartiallyHuberised
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import hard, logits, p_of
from tests.methods.test_robust_losses import weights


def test_an_examples_weight_is_tau_p_up_to_one():
    """|d loss / d p_y| = min(1 / p_y, tau)."""
    z, tau = logits(3.0), 4.0
    p = p_of(z)
    assert (p < 1 / tau).any() and (p > 1 / tau).any()
    torch.testing.assert_close(weights(PartiallyHuberised(tau), z), (tau * p).clamp_max(1))


def test_the_tangent_meets_the_loss():
    z = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0]]).double().expand(7, 5)  # p_y = 1 / 5
    for tau in (5 - 1e-9, 5 + 1e-9):
        torch.testing.assert_close(
            PartiallyHuberised(tau)(Outputs(z), hard()), cross_entropy(z, hard().y)
        )


def test_at_tau_one_it_is_half_the_absolute_error_at_a_large_one_cross_entropy():
    z = logits()
    torch.testing.assert_close(PartiallyHuberised(1.0)(Outputs(z), hard()), 1 - p_of(z))
    torch.testing.assert_close(
        PartiallyHuberised(1e6)(Outputs(z), hard()), cross_entropy(z, hard().y)
    )
