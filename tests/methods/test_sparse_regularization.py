"""Sparse regularization: its formula, its course over a phase, predictions."""

from dataclasses import replace

import torch

from methods.losses.sparse_regularization import SparseRegularization
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import hard, logits

TAU, S = 0.5, 0.1
ON_THE_SPHERE = logits() / (TAU * logits().norm(dim=1, keepdim=True))


def losses(progress, **options):
    batch = replace(hard(), progress=torch.tensor(progress))
    return SparseRegularization(TAU, S, **options)(Outputs(logits()), batch)


def test_the_penalty_is_a_sum_of_powers_that_weighs_more_and_more():
    plain = cross_entropy(ON_THE_SPHERE, hard().y)
    powers = (ON_THE_SPHERE.softmax(1) ** S).sum(1)
    for progress, strength in ((0.0, 3.0), (0.5, 12.0), (1.0, 48.0)):
        found = losses(progress, lam=3.0, growth=16.0)
        torch.testing.assert_close(found, plain + strength * powers)


def test_the_scale_of_logits_makes_no_difference():
    method = SparseRegularization()
    found, scaled = (method(Outputs(f * logits()), hard()) for f in (1, 50))
    torch.testing.assert_close(found, scaled)


def test_predictions_are_those_on_the_sphere():
    found = SparseRegularization(TAU).predict(Outputs(logits()))
    torch.testing.assert_close(found, ON_THE_SPHERE.softmax(1))
    assert torch.equal(found.argmax(1), logits().argmax(1))
