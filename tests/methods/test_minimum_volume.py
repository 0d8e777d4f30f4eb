"""The minimum-volume transition matrix: where it begins, what it trains, its loss."""

import pytest
import torch
from torch.nn import functional as F

from methods.correction.minimum_volume import MinimumVolume
from methods.objective import Outputs, PhaseInfo, cross_entropy
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits


def bound(method, classes=CLASSES):
    labels = torch.arange(EXAMPLES) % classes
    method.bind(PhaseInfo(EXAMPLES, classes, labels, labels.bincount(minlength=classes)))
    return method.double()


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_it_begins_with_a_half_of_each_class_labelled_as_another(classes):
    channel = bound(MinimumVolume(), classes).channel()
    torch.testing.assert_close(channel.sum(1), torch.ones(classes).double())
    assert channel.diagonal().allclose(channel[0, 0]) and 0.45 < channel[0, 0] < 0.65


def test_it_begins_as_the_authors_code_for_ten_classes():
    method = bound(MinimumVolume(), 10)
    torch.testing.assert_close(method.w.detach(), torch.full((10, 10), -2.0).double())


def test_its_loss_is_that_of_the_labels_it_explains_and_its_volume():
    method, z, labels = bound(MinimumVolume(0.1)), logits(), hard().y.argmax(1)
    with torch.no_grad():
        method.w.copy_(logits()[:CLASSES])
    channel = method.channel()
    observed = (z.softmax(1) @ channel).log()
    expected = F.nll_loss(observed, labels, reduction="none") + 0.1 * channel.det().abs().log()
    found = method(Outputs(z), hard())
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(x.mean(), method.w, retain_graph=True) for x in (found, expected)]
    torch.testing.assert_close(*slopes)
    assert [*method.train_parameters()] == [method.w]


def test_without_noise_in_it_its_loss_is_cross_entropy():
    method = bound(MinimumVolume())
    with torch.no_grad():
        method.w.fill_(-40.0)
    torch.testing.assert_close(method(Outputs(logits()), hard()), cross_entropy(logits(), hard().y))
