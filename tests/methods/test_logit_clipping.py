"""Logit clipping: what is clipped, the bounds of the loss, and directions that learn."""

import math

import torch

from methods.losses.logit_clipping import LogitClipping
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import CLASSES, hard, logits


def test_logits_longer_than_tau_are_cut_to_it_and_shorter_ones_stay():
    z = logits()
    tau = float(z.norm(dim=1).median())
    cut = torch.stack([row * min(1.0, tau / float(row.norm())) for row in z])
    found = LogitClipping(tau)(Outputs(z), hard())
    torch.testing.assert_close(found, cross_entropy(cut, hard().y))
    assert torch.equal(LogitClipping(tau).predict(Outputs(z)), z.softmax(1))


def test_the_loss_is_bounded_and_only_directions_learn_beyond():
    z = logits(100.0).requires_grad_()
    losses = LogitClipping(1.0)(Outputs(z), hard())
    assert (losses - math.log(CLASSES)).abs().max() < math.sqrt(2)
    (slope,) = torch.autograd.grad(losses.sum(), z)
    torch.testing.assert_close((slope * z).sum(1), torch.zeros(len(z)).double())
    assert slope.norm() > 0


def test_at_large_tau_it_is_cross_entropy_at_logits_of_zero_too():
    for z in (logits(), torch.zeros(7, CLASSES).double()):
        z.requires_grad_()
        found, plain = LogitClipping(1e6)(Outputs(z), hard()), cross_entropy(z, hard().y)
        torch.testing.assert_close(found, plain)
        slopes = [torch.autograd.grad(loss.sum(), z)[0] for loss in (found, plain)]
        torch.testing.assert_close(*slopes)
