"""Losses and sampling for imbalanced classes: limits, closed forms, frequencies."""

import pytest
import torch
from torch.nn import functional as F

from methods.losses.label_distribution_aware_margin import LabelDistributionAwareMargin
from methods.losses.logit_adjustment import LogitAdjustment
from methods.objective import Outputs, PhaseInfo, cross_entropy, generator
from methods.weighting.resampling import Resampling
from tests.methods.cases import CLASSES, EXAMPLES, batch_of, hard, logits

COUNTS = torch.tensor([100, 30, 10, 3, 1])


def bound(method, counts=COUNTS):
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    method.bind(PhaseInfo(len(labels), len(counts), labels, counts))
    return method.double()


def plain():
    return cross_entropy(logits(), hard().y)


def test_logits_move_by_tau_times_the_log_prior_in_the_loss_alone():
    method, outputs = bound(LogitAdjustment(0.5)), Outputs(logits())
    moved = logits() + 0.5 * (COUNTS / COUNTS.sum()).double().log()
    torch.testing.assert_close(
        method(outputs, hard()), cross_entropy(moved, hard().y), rtol=1e-6, atol=1e-6
    )
    assert torch.equal(method.predict(outputs), logits().softmax(1))


def test_tau_one_is_the_balanced_softmax():
    """-log n_y e^z_y / sum_k n_k e^z_k."""
    z, n = logits(), COUNTS.double()
    expected = -((n * z.exp() / (n * z.exp()).sum(1, keepdim=True)) * hard().y).sum(1).log()
    torch.testing.assert_close(
        bound(LogitAdjustment())(Outputs(z), hard()), expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("method", [LogitAdjustment(0.0), LabelDistributionAwareMargin(0.0)])
def test_at_zero_each_is_cross_entropy(method):
    torch.testing.assert_close(bound(method)(Outputs(logits()), hard()), plain())


def test_balanced_classes_change_nothing():
    even = torch.full((CLASSES,), 7)
    method = bound(LogitAdjustment(1.0), even)
    torch.testing.assert_close(method(Outputs(logits()), hard()), plain())


def test_only_the_labels_own_logit_is_lowered_by_its_margin():
    z, margins = logits(), 0.5 * (COUNTS.min() / COUNTS).double() ** 0.25
    expected = cross_entropy(z - hard().y * margins, hard().y)
    found = bound(LabelDistributionAwareMargin(0.5))(Outputs(z), hard())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert margins[-1] == 0.5 and margins[0] == pytest.approx(0.5 / 100**0.25)


def test_a_margin_on_certain_and_on_impossible_labels_stays_exact():
    z = torch.full((EXAMPLES, CLASSES), -200.0).double()
    z[:, 1] = 200.0
    margins = 30 * (COUNTS.min() / COUNTS).double() ** 0.25
    found = bound(LabelDistributionAwareMargin(30.0))(Outputs(z), hard())
    torch.testing.assert_close(
        found, cross_entropy(z - hard().y * margins, hard().y), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("margin", [0.5, 15.0, 30.0])
def test_a_margin_is_as_exact_in_float32_as_the_logits_are(margin):
    """Where p rounds to 1 the label's lead still counts, less its margin."""
    z = logits(20.0).float()
    labels = F.one_hot(z.argmax(1), CLASSES)  # what they are sure of
    lowered = z.double() - labels * margin * (COUNTS.min() / COUNTS).double() ** 0.25
    expected = cross_entropy(lowered, labels.double())
    method = bound(LabelDistributionAwareMargin(margin)).float()
    inputs = z.requires_grad_()
    found = method(Outputs(inputs), batch_of(labels.float()))
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    slope = torch.autograd.grad(found.sum(), inputs)[0]
    torch.testing.assert_close(slope, (lowered.softmax(1) - labels).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_classes_are_drawn_in_proportion_to_a_power_of_their_size(rho):
    method = bound(Resampling(rho))
    weights = method.begin_epoch(0, lambda pool=None: None)
    drawn = torch.multinomial(weights, 100_000, replacement=True, generator=generator(1))
    labels = torch.arange(len(COUNTS)).repeat_interleave(COUNTS)[drawn]
    expected = COUNTS.double() ** (1 - rho)
    expected *= len(drawn) / expected.sum()
    chi_square = ((labels.bincount(minlength=5) - expected) ** 2 / expected).sum()
    assert chi_square < 23.5  # four degrees of freedom: exceeded once in 10,000
