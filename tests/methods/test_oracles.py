"""Oracles: they know what is measured, and do with it what the methods do that guess."""

from dataclasses import replace

import pytest
import torch

from methods.correction.forward_oracle import ForwardOracle, confusion
from methods.correction.noise_channel import SMALLEST
from methods.correction.noise_layer import NoiseLayer
from methods.objective import Outputs, PhaseInfo, cross_entropy
from methods.selection.co_teaching import CoTeaching
from methods.selection.co_teaching_plus import CoTeachingPlus
from methods.selection.small_loss import SmallLoss
from tests.methods.cases import hard, logits, outputs_for

LABELS = torch.tensor([0, 1, 2, 0, 1, -1, 1, 2, 0])
TRUTH = torch.tensor([0, 1, 2, 1, 1, -1, 0, 2, 2])  # three of eight are wrong


def bound(method, truth=TRUTH):
    counts = LABELS[LABELS >= 0].bincount(minlength=5)
    method.bind(PhaseInfo(len(LABELS), 5, LABELS, counts, truth=truth))
    return method


@pytest.mark.parametrize("of", [SmallLoss, CoTeaching, CoTeachingPlus])
def test_the_measured_rate_is_the_share_of_wrong_labels_and_acts_as_that_number(of):
    oracle, told = bound(of(rate="measured")).double(), of(rate=3 / 8).double()
    assert oracle.oracle and not told.oracle
    torch.testing.assert_close(float(oracle.rate.value), 3 / 8)
    batch, outputs = replace(hard(), progress=torch.tensor(0.9)), outputs_for(told, logits())
    torch.testing.assert_close(oracle(outputs, batch), told(outputs, batch))


def test_a_noise_layer_begins_at_the_measured_rate():
    channel = bound(NoiseLayer(noise="measured")).channel()
    torch.testing.assert_close(channel.diagonal(), torch.full((5,), 5 / 8))


def test_of_no_wrong_label_a_noise_layer_begins_at_the_smallest_rate():
    channel = bound(NoiseLayer(noise="measured"), truth=LABELS).channel()
    torch.testing.assert_close(1 - channel.diagonal(), torch.full((5,), SMALLEST))


@pytest.mark.parametrize("rate", ["guessed", 1.5])
def test_a_rate_is_a_number_within_its_ends_or_measured(rate):
    with pytest.raises(ValueError, match=r"rate = .* must"):
        SmallLoss(rate=rate)


def test_a_trained_model_has_the_rate_that_was_measured_without_the_truth():
    saved = bound(SmallLoss(rate="measured")).state_dict()
    loaded = bound(SmallLoss(rate="measured"), truth=None)
    loaded.load_state_dict(saved)
    assert float(loaded.rate.value) == float(saved["rate.value"]) > 0


def test_the_true_matrix_counts_labels_by_true_class():
    third = 1 / 3
    expected = [[0.5, 0.5, 0], [third, 2 * third, 0], [third, 0, 2 * third]]
    found = confusion(TRUTH, LABELS, 5)
    torch.testing.assert_close(found[:3, :3], torch.tensor(expected))
    assert torch.equal(found[3:], torch.eye(5)[3:])  # classes without an example


def test_forward_correction_by_the_true_matrix_is_the_loss_of_p_times_it():
    z, y = logits(), hard().y
    method = bound(ForwardOracle()).double()
    p = z.softmax(1) @ confusion(TRUTH, LABELS, 5).double()
    expected = -(p.gather(1, y.argmax(1, keepdim=True)).squeeze(1)).log()
    torch.testing.assert_close(method(Outputs(z), hard()), expected, rtol=1e-4, atol=1e-4)


def test_where_no_label_is_wrong_it_is_cross_entropy():
    method = bound(ForwardOracle(), truth=LABELS).double()
    found = method(Outputs(logits()), hard())
    torch.testing.assert_close(found, cross_entropy(logits(), hard().y), rtol=1e-4, atol=1e-4)


def test_the_minimum_of_its_expected_loss_is_the_true_distribution():
    """Theorem 2 of the paper, on one input of which the true classes are distributed as p."""
    channel = confusion(TRUTH, LABELS, 5).double()
    method, p = bound(ForwardOracle()).double(), torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1]).double()
    noisy = (p @ channel)[None].expand(7, 5)
    z = p.log().expand(7, 5).clone().requires_grad_()
    (slope,) = torch.autograd.grad(method(Outputs(z), replace(hard(), y=noisy)).sum(), z)
    assert slope.abs().max() < 1e-4
