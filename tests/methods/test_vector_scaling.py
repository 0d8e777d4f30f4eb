"""The vector-scaling loss: its formula, and what it is at its ends."""

import torch

from methods.losses.logit_adjustment import LogitAdjustment
from methods.losses.vector_scaling import VectorScaling
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import hard, logits
from tests.methods.test_imbalance import COUNTS, bound


def test_logits_are_scaled_and_shifted_in_the_loss_alone():
    n, outputs = COUNTS.double(), Outputs(logits())
    method = bound(VectorScaling(0.3, 0.7))
    expected = cross_entropy(logits() * (n / n.max()) ** 0.3 + 0.7 * (n / n.sum()).log(), hard().y)
    torch.testing.assert_close(method(outputs, hard()), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(method.predict(outputs), logits().softmax(1))


def test_without_scaling_it_is_logit_adjustment():
    found, expected = (
        bound(method)(Outputs(logits()), hard())
        for method in (VectorScaling(0.0, 0.8), LogitAdjustment(0.8))
    )
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_where_classes_are_balanced_it_is_cross_entropy():
    method = bound(VectorScaling(0.3, 1.2), torch.full((5,), 7))
    found = method(Outputs(logits()), hard())
    torch.testing.assert_close(found, cross_entropy(logits(), hard().y), rtol=1e-6, atol=1e-6)
