"""A model as the loop calls it: elsewhere, without a trace, in any order of memory."""

import pytest
import torch
from torch import nn

from pipelines.errors import UserError
from pipelines.models.network import Network


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    ).double()


@pytest.fixture
def x():
    return torch.randn(7, 3, 6, 6, generator=torch.Generator().manual_seed(1)).double()


def gradients(channels_last, x):
    network = Network(convolutional(), channels_last=channels_last)
    loss = network(x).logits.square().sum()
    return network, torch.autograd.grad(loss, list(network.parameters().values()))


def test_the_order_of_memory_changes_nothing(x):
    (fast, found), (slow, expected) = gradients(True, x), gradients(False, x)
    for f, e in zip(found, expected, strict=True):
        torch.testing.assert_close(f, e, rtol=1e-10, atol=1e-10)
    order = {"memory_format": torch.channels_last}
    assert fast.parameters()["3.weight"].is_contiguous(**order)
    assert not slow.parameters()["3.weight"].is_contiguous(**order)


def test_models_without_convolutions_keep_their_order(x):
    assert not Network(nn.Sequential(nn.Flatten(), nn.Linear(108, 2))).channels_last


def test_at_other_parameters_it_leaves_no_trace(x):
    model = convolutional()
    network = Network(model)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    moved = {n: p + 1 for n, p in network.parameters().items()}
    elsewhere = network.forward_with(moved, x).logits
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    with torch.no_grad():
        for n, p in network.parameters().items():
            p.copy_(moved[n])
    torch.testing.assert_close(network(x).logits, elsewhere)


def test_elsewhere_it_has_the_buffers_that_the_model_has_now():
    class Follows(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)
            return self.linear(x - self.mean)

    torch.manual_seed(0)
    network, x = Network(Follows()), torch.randn(4, 3) + 10
    for _ in range(3):
        network(x)
    mean = network.model.mean
    elsewhere = network.without_buffer_updates(x).logits
    assert network.model.mean is mean
    torch.testing.assert_close(elsewhere, network(x).logits)


def test_parameters_that_are_not_given_are_constants(x):
    network = Network(convolutional())
    last = network.last_parameters(1)
    assert list(last) == ["5.weight", "5.bias"]
    logits = network.forward_with(last, x).logits
    torch.testing.assert_close(logits, network.forward_with(network.parameters(), x).logits)
    others = [p for n, p in network.parameters().items() if n not in last]
    grads = torch.autograd.grad(logits.sum(), [*last.values(), *others], allow_unused=True)
    assert [g is None for g in grads] == [False] * 2 + [True] * 6


def test_layers_are_counted_from_the_end():
    network = Network(convolutional())
    assert list(network.last_parameters(2))[:2] == ["3.weight", "3.bias"]
    assert network.last_parameters(4).keys() == network.parameters().keys()
    with pytest.raises(UserError, match=r"meta\.last_layers = 5: the model has 4"):
        network.last_parameters(5)


def test_tied_weights_move_together():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 4, bias=False)
            self.two = nn.Linear(4, 4, bias=False)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.two(self.one(x))

    network, x = Network(Tied()), torch.eye(4)
    weight = torch.arange(16.0).view(4, 4)
    torch.testing.assert_close(
        network.forward_with({"one.weight": weight}, x).logits.T, weight @ weight
    )


def test_evaluation_in_batches_is_evaluation_at_once(x):
    model = convolutional()
    network = Network(model, features=True)
    whole, parts = network.evaluate([x]), network.evaluate(x.split(3))
    torch.testing.assert_close(whole.logits, parts.logits)
    assert parts.features is not None and parts.features.shape == (7, 128)
    assert model.training
