"""Normalized cross-entropy with an asymmetric passive loss: the sum of the two."""

import torch

from methods.losses.active_asymmetric import ActiveAsymmetric
from methods.losses.active_passive import ActivePassive
from methods.losses.asymmetric_generalized_cross_entropy import AsymmetricGeneralizedCrossEntropy
from methods.objective import Outputs
from tests.methods.cases import hard, logits


def test_it_is_the_sum_of_its_active_and_its_passive_loss():
    outputs = Outputs(logits(2.0))
    active = ActivePassive(0.3, 0.0)(outputs, hard())
    passive = AsymmetricGeneralizedCrossEntropy(6.0, 1.5)(outputs, hard())
    found = ActiveAsymmetric(0.3, 4.0)(outputs, hard())
    torch.testing.assert_close(found, active + 4 * passive)


def test_with_a_linear_passive_loss_it_is_an_active_passive_loss():
    """At q = 1 the passive loss is 1 - p_y, which the reverse cross-entropy is but for its A."""
    outputs = Outputs(logits(2.0))
    found = ActiveAsymmetric(1.0, 2.0, q=1.0)(outputs, hard())
    torch.testing.assert_close(found, ActivePassive(1.0, 2.0, A=-1.0)(outputs, hard()))
