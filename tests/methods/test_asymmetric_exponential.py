"""The asymmetric exponential loss: its limit, and an example's weight in closed form."""

import torch

from methods.losses.asymmetric_exponential import AsymmetricExponential
from methods.objective import Outputs
from tests.methods.cases import hard, logits, p_of
from tests.methods.test_robust_losses import weights


def test_an_examples_weight_has_its_closed_form():
    z, a = logits(3.0), 0.5
    p = p_of(z)
    torch.testing.assert_close(weights(AsymmetricExponential(a), z), p * torch.exp(-p / a) / a)


def test_at_large_a_it_is_a_share_of_the_absolute_error():
    z, a = logits(), 1e4
    found = a * AsymmetricExponential(a)(Outputs(z), hard()) - (a - 1)
    torch.testing.assert_close(found, 1 - p_of(z), rtol=0, atol=1e-4)
