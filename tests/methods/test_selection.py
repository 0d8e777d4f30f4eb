"""Small-loss selection against its algorithm."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from methods.objective import Outputs, cross_entropy
from methods.selection.co_teaching import CoTeaching
from methods.selection.co_teaching_plus import CoTeachingPlus
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


def two(z, w):
    return Outputs(z, other=Outputs(w))


def test_co_teaching_exchanges_the_examples_of_smallest_loss():
    """Algorithm 1 of the paper, row by row."""
    z, w, labels = logits(), logits(2.0).roll(2, 0), hard().y.argmax(1)
    method, kept = CoTeaching(rate=0.5, ramp=0.1), EXAMPLES // 2
    z, w = z.requires_grad_(), w.requires_grad_()
    losses = [F.cross_entropy(x, labels, reduction="none") for x in (z, w)]
    chosen = [loss.argsort()[:kept] for loss in losses]
    expected = losses[0][chosen[1]].mean() + losses[1][chosen[0]].mean()
    found = method(two(z, w), at(0.9)).mean()
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(loss, (z, w), retain_graph=True) for loss in (found, expected)]
    torch.testing.assert_close(*slopes)


def test_without_noise_each_network_of_co_teaching_has_cross_entropy():
    z, w, y = logits(), logits(2.0), hard().y
    found = CoTeaching(rate=0.0)(two(z, w), at(0.9))
    torch.testing.assert_close(found, cross_entropy(z, y) + cross_entropy(w, y))


def test_co_teaching_predicts_the_mean_of_both():
    z, w = logits(), logits(2.0)
    found = CoTeaching().predict(two(z, w))
    torch.testing.assert_close(found, (z.softmax(1) + w.softmax(1)) / 2)


def test_co_teaching_plus_exchanges_among_those_with_two_predictions():
    """Algorithm 1 of its paper, row by row."""
    z, w, y = logits(), logits(2.0).roll(2, 0), hard().y
    w[:3] = 2 * z[:3]
    apart = z.argmax(1) != w.argmax(1)
    assert 2 <= apart.sum() < EXAMPLES
    losses = [cross_entropy(x, y) for x in (z, w)]
    kept = int(0.5 * apart.sum())
    chosen = [torch.where(apart, loss, torch.inf).argsort()[:kept] for loss in losses]
    expected = losses[0][chosen[1]].mean() + losses[1][chosen[0]].mean()
    found = CoTeachingPlus(rate=0.5, ramp=0.1, init=0.1)(two(z, w), at(0.9)).mean()
    torch.testing.assert_close(found, expected)


def test_co_teaching_plus_is_co_teaching_at_first_and_cross_entropy_where_networks_agree():
    z, w, y = logits(), logits(2.0).roll(2, 0), hard().y
    method, plain = CoTeachingPlus(rate=0.5, init=0.5), CoTeaching(rate=0.5)
    torch.testing.assert_close(method(two(z, w), at(0.4)), plain(two(z, w), at(0.4)))
    torch.testing.assert_close(method(two(z, z), at(0.4)), plain(two(z, z), at(0.4)))
    torch.testing.assert_close(method(two(z, z), at(0.9)), 2 * cross_entropy(z, y))
