"""Class-balanced cross-entropy: its weights in closed form, and what they are at their ends."""

from dataclasses import replace

import pytest
import torch

from methods.losses.class_balanced import ClassBalanced, effective_numbers
from methods.losses.cross_entropy import CrossEntropy
from methods.objective import PhaseInfo
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits, losses

COUNTS = [5000, 1000, 100, 10, 1]


def balanced(beta, counts=COUNTS):
    method = ClassBalanced(beta)
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, torch.tensor(counts)))
    return method


def test_the_effective_number_is_the_sum_of_a_geometric_series():
    for beta in (0.5, 0.99, 0.9999):
        series = [sum(beta**i for i in range(n)) for n in COUNTS]
        found = effective_numbers(torch.tensor(COUNTS), beta)
        torch.testing.assert_close(found, torch.tensor(series, dtype=torch.float64))


def test_a_loss_is_cross_entropy_times_the_weight_of_its_class():
    series = torch.tensor([sum(0.999**i for i in range(n)) for n in COUNTS])
    weights = CLASSES / series / (1 / series).sum()
    expected = weights[torch.arange(EXAMPLES) % CLASSES] * losses(CrossEntropy(), logits())
    torch.testing.assert_close(losses(balanced(0.999), logits()), expected)


def test_beta_0_is_cross_entropy_and_so_are_equal_classes():
    plain = losses(CrossEntropy(), logits())
    torch.testing.assert_close(losses(balanced(0.0), logits()), plain)
    torch.testing.assert_close(losses(balanced(0.9999, [20] * CLASSES), logits()), plain)


def test_beta_1_weighs_by_inverse_frequency_and_betas_near_it_nearly_so():
    inverse = 1 / torch.tensor(COUNTS).float()
    expected = CLASSES * inverse / inverse.sum()
    torch.testing.assert_close(balanced(1.0).class_weights, expected)
    torch.testing.assert_close(balanced(1 - 1e-9).class_weights, expected, rtol=1e-4, atol=0)


def test_weights_sum_to_the_number_of_classes_and_a_class_without_examples_has_the_largest():
    weights = balanced(0.999, [50, 0, 5, 500, 20]).class_weights
    assert weights.sum().item() == pytest.approx(CLASSES)
    assert weights[1] == weights[2] == weights.max()


def test_a_gradient_is_that_of_cross_entropy_times_the_weight():
    z = logits().requires_grad_()
    (found,) = torch.autograd.grad(losses(balanced(0.99), z).sum(), z)
    (plain,) = torch.autograd.grad(losses(CrossEntropy(), z).sum(), z)
    weights = balanced(0.99).class_weights.double()[hard().y.argmax(1)]
    torch.testing.assert_close(found, weights[:, None] * plain)


def test_deferred_weights_begin_late():
    method = balanced(0.999)
    method.deferred.value = 0.8
    early, late = (replace(hard(), progress=torch.tensor(p)) for p in (0.79, 0.8))
    plain, z = losses(CrossEntropy(), logits()), logits()
    assert torch.equal(losses(method, z, early), plain)
    assert torch.equal(losses(method, z, late), losses(balanced(0.999), z))
