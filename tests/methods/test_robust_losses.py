"""PolySoft, mean absolute error, active passive losses: closed forms, weights, sums over labels."""

import math

import pytest
import torch

from methods.losses.active_passive import ActivePassive
from methods.losses.mean_absolute_error import MeanAbsoluteError
from methods.losses.poly_soft import PolySoft
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.objective import Outputs, PhaseInfo, cross_entropy
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits, p_of

EVERY_LABEL = [hard(torch.full((EXAMPLES,), k)) for k in range(CLASSES)]


def poly_soft(margin=2.7, d=2.0, learn=False):
    method = PolySoft(margin, d, learn)
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount()))
    return method.double()


def weights(method, z):
    """The gradient's length along cross-entropy's, for each example."""
    plain = z.softmax(1) - hard().y
    slope = torch.func.grad(lambda z: method(Outputs(z), hard()).sum())(z)
    return (slope * plain).sum(1) / (plain**2).sum(1)


@pytest.mark.parametrize("d", [1.5, 2.0, 5.0])
def test_poly_soft_weighs_by_a_power_of_what_is_left_below_the_threshold(d):
    z, threshold = logits(3.0), 1.0 + math.log(CLASSES)
    losses = cross_entropy(z, hard().y)
    assert (losses > threshold).any() and (losses < threshold).any()
    expected = (1 - losses / threshold).clamp_min(0) ** (1 / (d - 1))
    torch.testing.assert_close(weights(poly_soft(1.0, d), z), expected)


def test_poly_soft_of_degree_two_is_a_parabola_and_constant_beyond():
    z, threshold = logits(3.0), 1.0 + math.log(CLASSES)
    losses = cross_entropy(z, hard().y).clamp_max(threshold)
    found = poly_soft(1.0)(Outputs(z), hard())
    torch.testing.assert_close(found, losses - losses**2 / (2 * threshold))


def test_poly_soft_with_a_far_threshold_is_cross_entropy():
    z = logits(3.0)
    found = poly_soft(1e6)(Outputs(z), hard())
    torch.testing.assert_close(found, cross_entropy(z, hard().y), rtol=1e-5, atol=0)


def test_a_learned_poly_soft_has_finite_second_derivatives_at_its_threshold():
    method = poly_soft(1.0, 8.0, learn=True)
    z = torch.zeros(EXAMPLES, CLASSES).double()
    z[:, 0] = -torch.linspace(0.99, 1.01, EXAMPLES).double() * method.untrained * 3
    z.requires_grad_()
    (slope,) = torch.autograd.grad(method(Outputs(z), hard()).sum(), z, create_graph=True)
    second = torch.autograd.grad(slope.square().sum(), list(method.meta_parameters()))
    assert all(value.isfinite().all() for value in second)


def test_absolute_error_is_the_distance_and_constant_over_all_labels():
    z = logits()
    distance = (z.softmax(1) - hard().y).abs().sum(1)
    method = MeanAbsoluteError()
    torch.testing.assert_close(method(Outputs(z), hard()), distance)
    torch.testing.assert_close(weights(method, z), 2 * p_of(z))
    over_labels = sum(method(Outputs(z), batch) for batch in EVERY_LABEL)
    torch.testing.assert_close(over_labels, torch.full((EXAMPLES,), 2.0 * (CLASSES - 1)).double())


def test_the_normalized_and_the_reverse_term_are_constant_over_all_labels():
    """1, and -A (K - 1): what makes both robust to uniform noise."""
    z = logits(2.0)
    for alpha, beta, total in ((1.0, 0.0, 1.0), (0.0, 1.0, 4.0 * (CLASSES - 1))):
        method = ActivePassive(alpha, beta, A=-4.0).double()
        over_labels = sum(method(Outputs(z), batch) for batch in EVERY_LABEL)
        torch.testing.assert_close(over_labels, torch.full((EXAMPLES,), total).double())


def test_the_normalized_term_is_the_labels_share_of_all_losses():
    z = logits(2.0)
    of_labels = torch.stack([cross_entropy(z, batch.y) for batch in EVERY_LABEL])
    found = ActivePassive(1.0, 0.0).double()(Outputs(z), hard())
    torch.testing.assert_close(found, cross_entropy(z, hard().y) / of_labels.sum(0))


def test_the_reverse_term_is_symmetric_cross_entropys():
    outputs, A = Outputs(logits()), -math.log(1e4)
    found = ActivePassive(0.0, 1.0).double()(outputs, hard())
    expected = SymmetricCrossEntropy(0.0, 1.0, A=A).double()(outputs, hard())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_what_stands_for_log_zero_is_negative():
    with pytest.raises(ValueError, match="A = 1 must be negative"):
        ActivePassive(A=1)
