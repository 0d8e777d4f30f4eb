"""Active bias against numpy's variance of the whole history."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.objective import Outputs, PhaseInfo, cross_entropy
from methods.weighting.active_bias import ActiveBias
from methods.weighting.active_bias_sampling import ActiveBiasSampling
from tests.methods.cases import CLASSES, EXAMPLES, hard

LATE = replace(hard(), progress=torch.tensor(0.9))


def histories(steps=6):
    torch.manual_seed(0)
    return [torch.randn(EXAMPLES, CLASSES).double() for _ in range(steps)]


def remembering(statistic="variance", steps=6, of=ActiveBias, **hyperparameters):
    method = of(statistic=statistic, **hyperparameters)
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount(), epochs=10))
    method.double()
    for z in histories(steps):
        method.after_step(Outputs(z), torch.zeros(EXAMPLES), hard())
    return method


def p_y(z):
    return (hard().y * z.softmax(1)).sum(1).numpy()


def test_weights_follow_the_standard_error_of_the_whole_history():
    history = np.stack([p_y(z) for z in histories()])
    variance = history.var(axis=0)
    expected = np.sqrt(variance + variance**2 / (len(history) - 1)) + 0.2
    expected *= EXAMPLES / expected.sum()
    np.testing.assert_allclose(remembering().weights(LATE).numpy(), expected, rtol=1e-12)


def test_closeness_is_that_of_the_mean():
    mean = np.stack([p_y(z) for z in histories()]).mean(axis=0)
    expected = mean * (1 - mean) + 0.2
    expected *= EXAMPLES / expected.sum()
    found = remembering("closeness").weights(LATE).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_example_without_a_history_has_weight_one(steps):
    assert torch.equal(remembering(steps=steps).weights(LATE), torch.ones(EXAMPLES).double())


def test_equal_histories_give_equal_weights():
    method = remembering(steps=0)
    z = torch.zeros(EXAMPLES, CLASSES).double()
    for _ in range(4):
        method.after_step(Outputs(z), torch.zeros(EXAMPLES), hard())
    torch.testing.assert_close(method.weights(LATE), torch.ones(EXAMPLES).double())


def test_the_warm_up_is_cross_entropy():
    method, z = remembering(warmup=0.5), histories(1)[0]
    early = replace(hard(), progress=torch.tensor(0.4))
    assert torch.equal(method(Outputs(z), early), cross_entropy(z, hard().y))
    assert not torch.equal(method(Outputs(z), LATE), cross_entropy(z, hard().y))


def test_a_statistic_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="statistic = 'mean' must be one of variance, closeness"):
        ActiveBias(statistic="mean")


def draws(epoch, **how):
    return remembering(of=ActiveBiasSampling, **how).begin_epoch(epoch, lambda pool=None: 1 / 0)


def test_the_sampling_variant_draws_in_proportion_to_the_same_statistic():
    weights = draws(9)
    torch.testing.assert_close(weights / weights.mean(), remembering().weights(LATE))


def test_it_draws_after_the_warm_up_and_once_there_is_a_history():
    assert draws(1, warmup=0.2) is None and draws(2, warmup=0.2) is not None
    assert draws(9, steps=1) is None


def test_an_example_that_it_has_seen_once_is_drawn_as_often_as_others_on_average():
    method = remembering(of=ActiveBiasSampling)
    method.history[0] = torch.tensor([1.0, 0.5, 0.0])
    weights = method.begin_epoch(9, lambda pool=None: 1 / 0)
    torch.testing.assert_close(weights[0], weights[1:].mean())


def test_what_it_draws_has_the_loss_of_cross_entropy():
    method, z = remembering(of=ActiveBiasSampling), histories(1)[0]
    assert torch.equal(method(Outputs(z), LATE), cross_entropy(z, hard().y))
