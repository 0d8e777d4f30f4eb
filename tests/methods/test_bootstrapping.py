"""Bootstrapping: its limits, and why the gradient through the prediction is no detail."""

import pytest
import torch
from torch.nn import functional as F

from methods.correction.bootstrapping import Bootstrapping
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import CLASSES, hard, logits

Z = logits(2.0)


@pytest.mark.parametrize("soft", [True, False])
def test_beta_one_is_cross_entropy(soft):
    torch.testing.assert_close(
        Bootstrapping(1.0, soft)(Outputs(Z), hard()), cross_entropy(Z, hard().y)
    )


def test_the_soft_loss_adds_the_entropy_of_the_prediction():
    p = Z.softmax(1)
    expected = 0.8 * cross_entropy(Z, hard().y) - 0.2 * (p * p.log()).sum(1)
    torch.testing.assert_close(Bootstrapping(0.8)(Outputs(Z), hard()), expected)


def test_the_soft_gradient_is_more_than_cross_entropys_at_a_smaller_rate():
    slope = torch.func.grad(lambda z: Bootstrapping(0.8)(Outputs(z), hard()).sum())(Z)
    assert not torch.allclose(slope, 0.8 * (Z.softmax(1) - hard().y))


def test_the_hard_target_is_mixed_with_the_likeliest_class():
    target = 0.8 * hard().y + 0.2 * F.one_hot(Z.argmax(1), CLASSES)
    found = Bootstrapping(0.8, soft=False)
    torch.testing.assert_close(found(Outputs(Z), hard()), cross_entropy(Z, target))
    slope = torch.func.grad(lambda z: found(Outputs(z), hard()).sum())(Z)
    torch.testing.assert_close(slope, Z.softmax(1) - target)
