"""Weights that are a rule of the loss: each by its formula, and by what its threshold keeps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from methods.losses.focal import Focal
from methods.losses.poly_soft import PolySoft
from methods.objective import Outputs, PhaseInfo, PoolOutputs, cross_entropy
from methods.selection.hard_examples import HardExamples
from methods.weighting.boosted import Boosted
from methods.weighting.by_loss import mean_one
from methods.weighting.focal_weighting import FocalWeighting
from methods.weighting.linear_weighting import LinearWeighting
from methods.weighting.mentornet import PredefinedMentorNet
from methods.weighting.self_paced import FORMS, SelfPaced
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits, p_of

LABELS = torch.arange(EXAMPLES) % CLASSES
Z = logits(3.0)
LOSSES = cross_entropy(Z, hard().y)


def bound(method, labels=LABELS, epochs=10):
    counts = labels.bincount(minlength=CLASSES)
    method.bind(PhaseInfo(len(labels), CLASSES, labels, counts, epochs=epochs))
    return method.double()


def weights(method, progress=0.5):
    """What each example's gradient is multiplied with."""
    batch = replace(hard(), progress=torch.tensor(progress))
    slope = torch.func.grad(lambda z: method(Outputs(z), batch).sum())(Z)
    plain = Z.softmax(1) - hard().y
    return (slope * plain).sum(1) / (plain**2).sum(1)


def test_weights_are_scaled_to_mean_one_or_all_zero():
    torch.testing.assert_close(mean_one(torch.tensor([1.0, 3.0])), torch.tensor([0.5, 1.5]))
    assert torch.equal(mean_one(torch.zeros(3)), torch.zeros(3))


#: f(v) of the papers at threshold 1; logarithmic: for losses halved.
REGULARISERS = {
    "hard": lambda v: -v,
    "linear": lambda v: v**2 / 2 - v,
    "logarithmic": lambda v: 2 * (0.5 * v - 0.5**v / math.log(0.5)),
    "mixture": lambda v: 1 / (v + 1),
    "polynomial": lambda v: v**3 / 3 - v,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_minimises_its_papers_objective(form):
    for r in (0.05, 0.3, 0.7, 0.95, 1.3):
        found = float(FORMS[form](torch.tensor(r).double()))
        best = minimize_scalar(
            lambda v, r=r: v * r + REGULARISERS[form](v),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert found == pytest.approx(best.x, abs=1e-5)


def paced(**options):
    method = bound(SelfPaced(**options))
    with torch.no_grad():
        method.after_step(Outputs(Z), LOSSES, hard())
    return method


def test_until_an_epoch_was_seen_every_example_counts():
    torch.testing.assert_close(weights(bound(SelfPaced())), torch.ones(EXAMPLES).double())


@pytest.mark.parametrize("epoch", [0, 2, 5, 9])
def test_the_share_that_counts_rises_over_the_ramp(epoch):
    method = paced(first=0.3, last=0.8, ramp=0.5)
    method.begin_epoch(epoch, None)
    kept = np.quantile(LOSSES, 0.3 + 0.5 * min(epoch / 5, 1)) > LOSSES
    torch.testing.assert_close(weights(method), EXAMPLES / kept.sum() * kept.double())


def test_a_quantile_for_each_class_keeps_some_of_every_one():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    method = bound(SelfPaced(first=0.6, per_class=True), labels)
    method.losses.copy_(torch.tensor([1.0, 2, 3, 4, 10, 20, 30]))
    method.begin_epoch(0, None)
    losses = torch.tensor([1.0, 2, 3, 4, 10, 20, 30]).double()
    assert method.weights(losses, hard()).tolist() == [1, 1, 0, 0, 1, 1, 0]


def test_linear_weights_are_poly_softs_of_degree_two():
    linear, soft = bound(LinearWeighting(1.0)), bound(PolySoft(1.0, 2.0))
    torch.testing.assert_close(weights(linear), mean_one(weights(soft)))


def test_focal_weights_are_the_focal_losss_without_a_term():
    gamma, p = 2.0, p_of(Z)
    torch.testing.assert_close(weights(bound(FocalWeighting(gamma))), mean_one((1 - p) ** gamma))
    missing = gamma * (1 - p) ** (gamma - 1) * p * LOSSES
    torch.testing.assert_close(weights(Focal(gamma)), (1 - p) ** gamma + missing)


@pytest.mark.parametrize(("share", "kept"), [(1.0, 7), (0.5, 3), (0.01, 1)])
def test_the_examples_of_largest_loss_are_kept(share, kept):
    hardest = LOSSES.sort(descending=True).values[kept - 1] <= LOSSES
    torch.testing.assert_close(weights(HardExamples(share)), EXAMPLES / kept * hardest.double())


def predictions(wrong):
    z = torch.eye(CLASSES)[torch.where(wrong, (LABELS + 1) % CLASSES, LABELS)]
    flags = torch.zeros(EXAMPLES, dtype=torch.bool)
    return lambda pool=None: PoolOutputs(Outputs(z), torch.arange(EXAMPLES), LABELS, flags)


def test_boosting_makes_the_old_predictions_no_better_than_chance():
    method, wrong = bound(Boosted(every=2)), torch.arange(EXAMPLES) < 2
    method.begin_epoch(1, predictions(wrong))  # not its turn
    assert torch.equal(method.of_row, torch.ones(EXAMPLES).double())
    method.begin_epoch(2, predictions(wrong))
    error = method.of_row[wrong].sum() / method.of_row.sum()
    assert float(error) == pytest.approx(1 - 1 / CLASSES)
    torch.testing.assert_close(weights(method), method.of_row)


def test_boosting_stops_at_chance_and_keeps_weights_within_bounds():
    method = bound(Boosted(every=1))
    method.begin_epoch(1, predictions(torch.arange(EXAMPLES) < 6))  # error 6/7 > 4/5
    assert torch.equal(method.of_row, torch.ones(EXAMPLES).double())
    for epoch in range(1, 20):
        method.begin_epoch(epoch, predictions(torch.arange(EXAMPLES) < 1))
        assert method.of_row.min() >= 0.1 and method.of_row.max() <= 10


def test_the_predefined_mentor_has_three_regimes():
    method = bound(PredefinedMentorNet(quantile=0.5, decay=0.0))
    above = LOSSES - LOSSES.quantile(0.5)
    for progress in (0.1, 0.189):  # whole percents up to and with 18
        torch.testing.assert_close(weights(method, progress), torch.ones(EXAMPLES).double())
    for progress in (0.19, 0.899):
        torch.testing.assert_close(weights(method, progress), (above <= 0).double())
    torch.testing.assert_close(weights(method, 0.9), 1 - above.clamp(0, 1))


def test_the_mentors_threshold_is_a_running_mean():
    method = bound(PredefinedMentorNet(quantile=0.7, decay=0.5))
    for step in range(1, 4):
        method.after_step(Outputs(Z), LOSSES, hard())
        expected = (1 - 0.5**step) * LOSSES.quantile(0.7, keepdim=True)
        torch.testing.assert_close(method.threshold, expected)


def test_a_form_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="form = 'soft' must be one of hard, linear"):
        SelfPaced(form="soft")
