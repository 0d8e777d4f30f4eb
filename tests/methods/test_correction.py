"""Corrections against the formulas of their papers, and against independent loops."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from methods.correction.backward_correction import BackwardCorrection
from methods.correction.forward_correction import ForwardCorrection
from methods.correction.gold_loss_correction import GoldLossCorrection
from methods.correction.meta_label_correction import MetaLabelCorrection
from methods.correction.noise_channel import corrected_cross_entropy, stochastic
from methods.correction.noise_layer import NoiseLayer
from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Outputs, PhaseInfo, PoolOutputs, PreviousPhase, cross_entropy
from tests.methods.cases import CLASSES, EXAMPLES, FEATURES, batch_of, hard, logits, outputs_for


def bound(objective):
    labels = torch.arange(EXAMPLES) % CLASSES
    objective.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount(), features=FEATURES))
    return objective.double()


def after(z, y, asked=()):
    """The phase before: a cross-entropy model with these outputs on any pool."""

    def predict(pool=None):
        assert pool in asked
        known = torch.ones(len(y), dtype=torch.bool)
        return PoolOutputs(Outputs(z), torch.arange(len(y)), y, known)

    return PreviousPhase(CrossEntropy(), predict, {})


def noise(rate=0.3):
    """Symmetric: a label stays with probability 1 - rate."""
    return torch.full((CLASSES, CLASSES), rate / (CLASSES - 1)).double().fill_diagonal_(1 - rate)


def test_the_channel_is_a_product_with_the_transition_matrix():
    z, y = logits(), hard().y
    expected = -((z.softmax(1) @ noise()) * y).sum(1).log()
    torch.testing.assert_close(corrected_cross_entropy(z, y, noise()), expected)


def test_without_noise_the_channel_is_cross_entropy():
    z, y = logits(), hard().y
    channel = stochastic(torch.eye(CLASSES).double())
    found = corrected_cross_entropy(z, y, channel)
    torch.testing.assert_close(found, cross_entropy(z, y), rtol=1e-4, atol=1e-4)


def test_rows_of_a_channel_sum_to_one_and_have_no_zero():
    rows = stochastic(torch.eye(CLASSES).double())
    assert rows.min() > 0
    torch.testing.assert_close(rows.sum(1), torch.ones(CLASSES).double())


def test_calibrated_predictions_give_glc_the_true_transition_matrix():
    y = torch.arange(4 * CLASSES) % CLASSES
    glc = bound(GoldLossCorrection())
    glc.inherit(after(noise()[y].log(), y, asked=("meta",)))
    torch.testing.assert_close(glc.channel, noise())


def test_glcs_rows_are_mean_predictions_of_trusted_examples():
    z, y = logits(2.0), torch.tensor([0, 0, 1, 1, 1, 2, 3])  # none of class 4
    glc = bound(GoldLossCorrection())
    glc.inherit(after(z, y, asked=("meta",)))
    p = z.softmax(1)
    expected = [p[y == k].mean(0) if (y == k).any() else torch.full((5,), 0.2) for k in range(5)]
    torch.testing.assert_close(glc.channel, torch.stack([e.double() for e in expected]))


def test_glc_corrects_untrusted_examples_only():
    z, glc = logits(), bound(GoldLossCorrection())
    glc.channel.copy_(noise())
    trusted = torch.arange(EXAMPLES) < 3
    found = glc(Outputs(z), replace(hard(), trusted=trusted))
    torch.testing.assert_close(found[:3], cross_entropy(z, hard().y)[:3])
    torch.testing.assert_close(found[3:], corrected_cross_entropy(z, hard().y, noise())[3:])


@pytest.mark.parametrize("quantile", [0.97, 1.0])
def test_forwards_rows_are_predictions_of_its_anchors(quantile):
    torch.manual_seed(3)
    z = 3 * torch.randn(200, CLASSES).double()
    forward = bound(ForwardCorrection(quantile))
    forward.inherit(after(z, torch.zeros(200).long(), asked=(None,)))
    p, rows = z.softmax(1), []
    for k in range(CLASSES):
        left = p[:, k].clone()
        if quantile < 1:  # the published filter, in numpy's words: interpolation "higher"
            ordered = left.sort().values
            left[left >= ordered[-(-97 * 199 // 100)]] = 0
        rows.append(p[left.argmax()])
    torch.testing.assert_close(forward.channel, torch.stack(rows), rtol=0, atol=5e-6)
    outliers = torch.stack(rows).diagonal() < p.max(0).values
    assert outliers.all() == (quantile < 1)


def test_forward_finds_the_transition_matrix_of_two_gaussians():
    torch.manual_seed(0)
    truth = torch.tensor([[0.8, 0.2], [0.3, 0.7]]).double()
    x = torch.cat([torch.randn(4000) - 2, torch.randn(4000) + 2]).double()
    clean = torch.stack([-2 * x, 2 * x], dim=1).softmax(1)  # exact posterior, means at -2 and 2
    forward = ForwardCorrection()
    labels = torch.arange(2)
    forward.bind(PhaseInfo(2, 2, labels, labels.bincount()))
    forward.double()
    forward.inherit(after((clean @ truth).log(), torch.zeros(8000).long(), asked=(None,)))
    torch.testing.assert_close(forward.channel, truth, rtol=0, atol=2e-3)


def test_mlc_is_cross_entropy_with_its_corrected_labels():
    mlc, z = bound(MetaLabelCorrection(skip=False)), logits()
    outputs = outputs_for(mlc, z)
    trusted = torch.arange(EXAMPLES) < 2
    batch = replace(hard(), trusted=trusted)
    embedded = mlc.embed.weight.T[batch.y.argmax(1)]  # a row for each class
    hidden = torch.cat([outputs.features, embedded], dim=1)
    for layer in (mlc.net[0], mlc.net[2]):
        hidden = torch.tanh(hidden @ layer.weight.T + layer.bias)
    labels = (hidden @ mlc.net[4].weight.T + mlc.net[4].bias).softmax(1)
    expected = -(labels * z.log_softmax(1)).sum(1)
    expected[:2] = F.cross_entropy(z, batch.y.argmax(1), reduction="none")[:2]
    torch.testing.assert_close(mlc(outputs, batch), expected)


def test_mlcs_skip_mixes_the_noisy_label_in_by_a_share_for_each_example():
    mlc, plain = bound(MetaLabelCorrection()), bound(MetaLabelCorrection(skip=False))
    state = mlc.state_dict()
    last = {name: state[name][:-1] for name in ("net.4.weight", "net.4.bias")}
    plain.load_state_dict(state | last)
    features, y = outputs_for(mlc, logits()).features, hard().y
    hidden = mlc.net[:4](torch.cat([features, mlc.embed(y)], dim=1))
    share = (hidden @ state["net.4.weight"][-1] + state["net.4.bias"][-1]).sigmoid()[:, None]
    expected = share * y + (1 - share) * plain.corrected(features, y)
    torch.testing.assert_close(mlc.corrected(features, y), expected)
    assert share.std() > 0


def test_mlc_learns_from_features_without_moving_them():
    mlc, z = bound(MetaLabelCorrection()), logits()
    features = torch.randn(EXAMPLES, FEATURES).double().requires_grad_()
    mlc(Outputs(z.requires_grad_(), features), batch_of(hard().y)).sum().backward()
    assert features.grad is None and z.grad is not None
    assert all(p.grad is not None for p in mlc.meta_parameters())


def test_a_noise_layer_begins_as_symmetric_noise_and_corrects_as_its_channel_does():
    layer, z = bound(NoiseLayer(0.3)), logits()
    torch.testing.assert_close(layer.channel(), noise(0.3), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        layer(Outputs(z), hard()), corrected_cross_entropy(z, hard().y, layer.channel())
    )
    assert torch.equal(layer.predict(Outputs(z)), z.softmax(1))


def test_a_noise_layer_without_noise_is_cross_entropy():
    found = bound(NoiseLayer(1e-6))(Outputs(logits()), hard())
    torch.testing.assert_close(found, cross_entropy(logits(), hard().y), rtol=1e-4, atol=1e-4)


def test_a_noise_layer_learns_the_channel_of_a_known_classifier():
    """Where p is right, the maximum of the likelihood is the share of each label."""
    labels = torch.multinomial(noise(0.4), 2000, replacement=True).T.flatten()
    truth = torch.arange(CLASSES).repeat(2000)
    z = 50 * F.one_hot(truth, CLASSES).double()
    layer = bound(NoiseLayer())
    optimizer = torch.optim.LBFGS(layer.train_parameters(), max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = layer(Outputs(z), batch_of(F.one_hot(labels, CLASSES).double())).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    shares = torch.stack([labels[truth == k].bincount(minlength=CLASSES) for k in range(CLASSES)])
    torch.testing.assert_close(layer.channel(), shares.double() / 2000, rtol=0, atol=1e-3)


def test_the_expectation_of_the_backward_loss_over_the_noise_is_cross_entropy_of_the_truth():
    method, z = bound(BackwardCorrection(quantile=1.0)), logits()
    p = noise(0.4)  # a calibrated model's prediction for the surest example of each class
    method.inherit(after(p.log(), torch.arange(CLASSES), asked=(None,)))
    of_label = [method(Outputs(z), hard(torch.full((EXAMPLES,), k))) for k in range(CLASSES)]
    truth = hard().y.argmax(1)
    expected = (noise(0.4)[truth] * torch.stack(of_label, dim=1)).sum(1)
    torch.testing.assert_close(expected, cross_entropy(z, hard().y))


def test_a_model_that_tells_no_class_from_another_leaves_backward_losses_finite():
    method = bound(BackwardCorrection(quantile=1.0))
    method.inherit(after(torch.zeros(9, CLASSES), torch.arange(9) % CLASSES, asked=(None,)))
    assert method(Outputs(logits()), hard()).isfinite().all()


def test_backward_correction_estimates_the_matrix_as_forward_correction_does():
    z = 3 * torch.eye(CLASSES).repeat(20, 1).double()
    y = torch.arange(20 * CLASSES) % CLASSES
    channels = []
    for method in (ForwardCorrection(), BackwardCorrection()):
        bound(method).inherit(after(z, y, asked=(None,)))
        channels.append(method.channel)
    assert torch.equal(*channels) and not torch.allclose(channels[0], torch.eye(CLASSES).double())
