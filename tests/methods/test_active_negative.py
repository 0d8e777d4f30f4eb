"""The active negative loss: sums over labels, its two terms, its penalty."""

import math

import torch
from torch import nn

from methods.losses.active_negative import ActiveNegative
from methods.losses.active_passive import ActivePassive
from methods.objective import Outputs
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits
from tests.methods.test_robust_losses import EVERY_LABEL


def test_both_terms_are_constant_over_all_labels():
    """1 and K - 1: what makes both robust to uniform noise."""
    z = logits(10.0)
    assert (z.log_softmax(1) < math.log(1e-7)).any()
    for alpha, beta, total in ((1.0, 0.0, 1.0), (0.0, 1.0, CLASSES - 1.0)):
        method = ActiveNegative(alpha, beta)
        over_labels = sum(method(Outputs(z), batch) for batch in EVERY_LABEL)
        torch.testing.assert_close(over_labels, torch.full((EXAMPLES,), total).double())


def test_the_active_term_is_that_of_active_passive_losses():
    outputs = Outputs(logits(2.0))
    found = ActiveNegative(0.7, 0.0)(outputs, hard())
    torch.testing.assert_close(found, ActivePassive(0.7, 0.0)(outputs, hard()))


def test_the_negative_term_is_the_share_that_other_classes_are_above_the_least_likelihood():
    z = logits(2.0)
    above = z.log_softmax(1) - math.log(1e-7)
    expected = ((1 - hard().y) * above).sum(1) / above.sum(1)
    torch.testing.assert_close(ActiveNegative(0.0, 1.0)(Outputs(z), hard()), expected)


def test_the_penalty_is_the_sum_of_absolute_values():
    model = nn.Linear(3, 2)
    expected = 0.5 * (model.weight.abs().sum() + model.bias.abs().sum())
    found = ActiveNegative(delta=0.5).penalty(dict(model.named_parameters()))
    torch.testing.assert_close(found, expected)
