"""Mixup: the same share and partner for inputs and labels, another one at each step."""

from dataclasses import replace

import torch

from methods.objective import Outputs, cross_entropy
from methods.perturbation.mixup import Mixup
from tests.methods.cases import EXAMPLES, hard, logits


def mixed(alpha, key=(3, 0, 0, 0)):
    batch = replace(hard(), x=torch.arange(EXAMPLES).double()[:, None], key=key)
    return batch, Mixup(alpha).before_step(batch, None)


def test_inputs_and_labels_are_mixed_alike():
    batch, found = mixed(1.0)
    (share,) = {round(float(v), 9) for v in mixed_share(batch, found)}
    assert 0 < share < 1 and found.x.sum() == batch.x.sum()
    torch.testing.assert_close(found.y.sum(1), torch.ones(EXAMPLES).double())


def mixed_share(batch, found):
    """The own share of each example that was mixed with another one."""
    x = batch.x.squeeze(1)
    for partner in range(EXAMPLES):
        for own in range(EXAMPLES):
            gap = x[own] - x[partner]
            share = (found.x[own, 0] - x[partner]) / gap if gap else None
            if share is None or not 0 < share < 1:
                continue
            y = batch.y[partner].lerp(batch.y[own], share)
            if (
                torch.allclose(y, found.y[own])
                and batch.y[own].argmax() != batch.y[partner].argmax()
            ):
                yield share


def test_a_step_repeats_itself_and_differs_from_others():
    first, again, other = mixed(1.0)[1], mixed(1.0)[1], mixed(1.0, (3, 0, 0, 1))[1]
    assert torch.equal(first.x, again.x) and not torch.equal(first.x, other.x)


def test_towards_zero_examples_stay_whole():
    _, found = mixed(1e-6)
    torch.testing.assert_close(found.y.amax(1), torch.ones(EXAMPLES).double())
    loss = Mixup()(Outputs(logits()), hard())
    assert torch.equal(loss, cross_entropy(logits(), hard().y))
