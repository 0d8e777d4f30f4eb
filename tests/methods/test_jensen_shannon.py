"""The Jensen-Shannon loss: the divergence by its definition, and its two limits."""

import math

import pytest
import torch

from methods.losses.jensen_shannon import JensenShannon
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import hard, logits, p_of


def entropy(p):
    return -torch.special.xlogy(p, p).sum(1)


@pytest.mark.parametrize("pi", [0.1, 0.5, 0.9])
def test_it_is_the_divergence_of_label_and_prediction_over_its_scale(pi):
    z, y = logits(2.0), hard().y
    p = z.softmax(1)
    divergence = entropy(pi * y + (1 - pi) * p) - (1 - pi) * entropy(p)
    found = JensenShannon(pi)(Outputs(z), hard())
    torch.testing.assert_close(found, divergence / -((1 - pi) * math.log(1 - pi)))


@pytest.mark.parametrize(
    ("pi", "limit"), [(0.01, lambda z: cross_entropy(z, hard().y)), (0.99, lambda z: 1 - p_of(z))]
)
def test_it_goes_from_cross_entropy_to_the_absolute_error(pi, limit):
    z = logits()
    torch.testing.assert_close(JensenShannon(pi)(Outputs(z), hard()), limit(z), rtol=0.1, atol=0.15)
