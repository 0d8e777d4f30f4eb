"""Outputs of one network or two, with or without features."""

import pytest
import torch
from torch import nn

from pipelines.errors import UserError
from pipelines.models.heads import Ensemble, feature_width
from pipelines.models.network import Network, tensors_of


def member():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


@pytest.fixture
def x():
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("features", [False, True])
def test_outputs_of_two_networks_are_those_of_each(x, features):
    first, second = member(), member()
    both = Network(Ensemble([first, second]), features)
    for outputs, alone in zip(both(x).each(), (first, second), strict=True):
        assert torch.equal(outputs.logits, alone(x))
        assert (outputs.features is None) == (not features)
        if features:
            assert torch.equal(outputs.features, alone[1](alone[0](x)))


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("features", [False, True])
def test_outputs_survive_a_round_trip_through_their_tensors(x, networks, features):
    model = member() if networks == 1 else Ensemble([member(), member()])
    network = Network(model, features)
    outputs = network(x)
    again = network.outputs_of(tensors_of(outputs))
    assert len(tensors_of(outputs)) == networks * (1 + features)
    for one, other in zip(tensors_of(outputs), tensors_of(again), strict=True):
        assert one is other


@pytest.mark.parametrize("features", [False, True])
def test_batches_are_evaluated_one_after_the_other(x, features):
    network = Network(Ensemble([member(), member()]), features)
    whole, parts = network.evaluate([x]), network.evaluate([x[:2], x[2:]])
    for one, other in zip(tensors_of(whole), tensors_of(parts), strict=True):
        torch.testing.assert_close(one, other)


def test_the_last_layers_are_those_of_each_network():
    network = Network(Ensemble([member(), member()]))
    assert list(network.last_parameters(1)) == [
        f"members.{n}.2.{kind}" for n in (0, 1) for kind in ("weight", "bias")
    ]
    with pytest.raises(UserError, match="last_layers = 3: the model has 2 layers"):
        network.last_parameters(3)


def test_the_width_of_features_is_that_of_the_last_linear_layer():
    assert feature_width(member()) == feature_width(Ensemble([member(), member()])) == 4
    with pytest.raises(UserError, match="has no linear layer"):
        feature_width(nn.Conv2d(1, 1, 1))
