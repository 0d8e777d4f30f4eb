"""JoCoR against its algorithm, row by row."""

import torch
from torch.nn import functional as F

from methods.objective import Outputs
from methods.selection.co_regularization import CoRegularization
from methods.selection.small_loss import SmallLoss
from tests.methods.cases import EXAMPLES, hard, logits
from tests.methods.test_selection import at, two

LABELS = hard().y.argmax(1)


def apart(z, w):
    """KL(p, q) + KL(q, p)."""
    p, q = z.log_softmax(1), w.log_softmax(1)
    each = [F.kl_div(a, b, reduction="none", log_target=True).sum(1) for a, b in ((p, q), (q, p))]
    return each[0] + each[1]


def test_the_smallest_joint_losses_are_kept_and_move_both_networks():
    z, w, kept = logits().requires_grad_(), logits(2.0).roll(2, 0).requires_grad_(), EXAMPLES // 2
    of_labels = sum(F.cross_entropy(x, LABELS, reduction="none") for x in (z, w))
    joint = 0.35 * of_labels + 0.65 * apart(z, w)
    expected = joint[joint.argsort()[:kept]].mean()
    found = CoRegularization(0.65, rate=0.5, ramp=0.1)(two(z, w), at(0.9)).mean()
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(loss, (z, w), retain_graph=True) for loss in (found, expected)]
    torch.testing.assert_close(*slopes)


def test_two_equal_networks_are_small_loss_selection():
    z = logits()
    found = CoRegularization(0.5, rate=0.5)(two(z, z), at(0.9))
    torch.testing.assert_close(found, SmallLoss(rate=0.5)(Outputs(z), at(0.9)))
