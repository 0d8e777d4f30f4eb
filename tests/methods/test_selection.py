"""Small-loss selection against its algorithm."""

from dataclasses import replace

import torch

from methods.objective import Outputs, cross_entropy
from methods.selection.small_loss import SmallLoss, share_left_out, smallest
from tests.methods.cases import EXAMPLES, hard, logits


def at(progress):
    return replace(hard(), progress=torch.tensor(progress))


def test_the_share_rises_linearly_and_stays():
    shares = [float(share_left_out(0.4, 0.1, torch.tensor(t))) for t in (0.0, 0.05, 0.1, 0.9)]
    torch.testing.assert_close(shares, [0.0, 0.2, 0.4, 0.4])


def test_without_noise_it_is_cross_entropy():
    z = logits()
    found = SmallLoss(rate=0.0)(Outputs(z), at(0.9))
    torch.testing.assert_close(found, cross_entropy(z, hard().y))


def test_the_smallest_losses_are_kept_and_their_mean_is_the_loss():
    z, plain = logits(), cross_entropy(logits(), hard().y)
    found = SmallLoss(rate=0.5, ramp=0.1)(Outputs(z), at(0.9))
    kept = plain.argsort()[: EXAMPLES // 2]
    assert set(found.nonzero().squeeze(1).tolist()) == set(kept.tolist())
    torch.testing.assert_close(found.mean(), plain[kept].mean())


def test_one_example_is_always_kept():
    weights = smallest(torch.tensor([3.0, 1.0, 2.0]), torch.tensor(1.0))
    assert weights.tolist() == [0.0, 3.0, 0.0]
