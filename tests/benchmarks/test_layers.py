"""Loss change allocation: what layers get adds up to what the loss has changed by."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.horizons import protocols
from benchmarks.layers import Allocation, measure
from pipelines.study.protocol import with_changes


@pytest.fixture
def setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    return model, torch.randn(20, 4).double(), torch.randint(3, (20,))


def moved(model, names, length=0.05):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(names):
                parameter.add_(length * torch.randn_like(parameter))


def test_parts_add_up_to_the_change_of_the_loss(setting):
    model, x, y = setting
    allocation = Allocation(model, x, y)
    before = cross_entropy(model(x), y)
    moved(model, ("0", "2"))
    parts = allocation.step()
    change = float((cross_entropy(model(x), y) - before).detach())
    assert sum(parts.values()) == pytest.approx(change, rel=1e-4)
    assert list(parts) == ["0", "2"] and all(parts.values())


def test_a_layer_that_does_not_move_gets_nothing(setting):
    model, x, y = setting
    allocation = Allocation(model, x, y)
    before = allocation.loss
    moved(model, "2")
    parts = allocation.step()
    assert parts["0"] == 0
    assert parts["2"] == pytest.approx(allocation.loss - before, rel=1e-4)


def test_over_a_step_of_one_parameter_it_is_the_integral_of_its_gradient(setting):
    """Of a quadratic, for which Simpson's rule is exact: the loss's own change."""
    _, x, _ = setting
    model = nn.Sequential(nn.Linear(4, 2, bias=False)).double()
    y = torch.zeros(20, dtype=torch.long)
    with torch.no_grad():
        model[0].weight.zero_()
        allocation = Allocation(model, 1e-3 * x, y)
        model[0].weight[0] += 1.0
    # -log softmax near 0: z_0 = w x, and (z_1 - z_0) / 2 + (z_1 - z_0)^2 / 8 + log 2
    z = (1e-3 * x).sum(dim=1)
    expected = (-z / 2 + z.square() / 8).mean()
    assert allocation.step()["0"] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("arm", ["ce", "finetune"])
def test_a_whole_runs_parts_add_up(arm):
    protocol = with_changes(protocols(None)["digits"], {"schedule.epochs": 2})
    found = measure(protocol, arm, 0)
    assert sum(sum(half.values()) for half in found["halves"]) == pytest.approx(
        found["change"], rel=1e-3
    )
    assert all(found["halves"])
