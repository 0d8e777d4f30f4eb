"""Batches, hypergradients and methods outside of this project's training loop; float64."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

import untuned
from methods.losses.focal import Focal
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.meta.learning_to_reweight import LearningToReweight
from methods.meta.meta_weight_net import MetaWeightNet

CLASSES, LR = 3, 0.3


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()


def examples(count: int, seed: int) -> untuned.Batch:
    torch.manual_seed(seed)
    x = torch.randn(count, 4, dtype=torch.float64)
    return untuned.make_batch(x, torch.randint(CLASSES, (count,)), CLASSES)


def by_double_backward(model, objective, batch, clean):
    """The definition: differentiate the clean loss through theta - lr dL/dtheta."""
    theta = dict(model.named_parameters())

    def logits(parameters, x):
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return functional_call(model, parameters | buffers, (x,))

    loss = objective(untuned.Outputs(logits(theta, batch.x)), batch).mean()
    grads = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
    ahead = {n: p - LR * g for (n, p), g in zip(theta.items(), grads, strict=True)}
    clean_loss = untuned.cross_entropy(logits(ahead, clean.x), clean.y).mean()
    return torch.autograd.grad(clean_loss, list(objective.meta_parameters()))


@pytest.mark.parametrize("engine", ["forward", "double_backward"])
@pytest.mark.parametrize(
    "make",
    [MetaWeightNet, LearningToReweight, lambda: GeneralizedCrossEntropy(0.7, learn=True)],
)
def test_the_hypergradient_of_ones_own_model_equals_double_backward(model, make, engine):
    objective, clean = make().double(), examples(5, seed=2)
    batch = objective.before_step(examples(6, seed=1), lambda x: untuned.Outputs(model(x)))
    expected = by_double_backward(model, objective, batch, clean)
    found = untuned.hypergradient(model, objective, batch, clean, LR, engine)
    assert max(g.abs().max() for g in expected) > 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_hypergradient_leaves_no_trace(model):
    objective, batch, clean = MetaWeightNet().double(), examples(6, seed=1), examples(5, seed=2)
    modules = nn.ModuleList([model, objective])
    before, random = copy.deepcopy(modules.state_dict()), torch.get_rng_state()
    untuned.hypergradient(model, objective, batch, clean, LR)
    torch.testing.assert_close(modules.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in modules.parameters())
    assert torch.equal(torch.get_rng_state(), random) and model.training


class MovesFeatures(untuned.Objective):
    """Needs the features, and a meta-parameter that multiplies their norm."""

    needs_features = True

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, outputs, batch):
        penalty = outputs.features.square().sum(dim=1)
        return untuned.cross_entropy(outputs.logits, batch.y) + self.scale * penalty

    def meta_parameters(self):
        return [self.scale]


def test_an_objective_of_ones_own_gets_the_features_it_asks_for(model):
    batch, clean = examples(6, seed=1), examples(5, seed=2)
    calls = (model, MovesFeatures(), batch, clean, LR)
    [forward], [reference] = (
        untuned.hypergradient(*calls, engine=engine) for engine in ("forward", "double_backward")
    )
    torch.testing.assert_close(forward, reference, rtol=1e-10, atol=0)
    assert reference.abs() > 1e-4 and not model[-1]._forward_pre_hooks


def test_an_objective_that_learns_nothing_has_no_hypergradient(model):
    batch = examples(6, seed=1)
    with pytest.raises(ValueError, match="Focal has no meta-parameters"):
        untuned.hypergradient(model, Focal(), batch, batch, LR)


def test_a_batch_takes_class_numbers_or_label_distributions():
    x = torch.zeros(2, 4)
    numbers = untuned.make_batch(x, torch.tensor([2, 0]), CLASSES)
    assert numbers.y.tolist() == [[0, 0, 1], [1, 0, 0]] and numbers.y.dtype == x.dtype
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert untuned.make_batch(x, soft).y is soft
    assert numbers.index.tolist() == [0, 1] and not numbers.trusted.any()
    with pytest.raises(ValueError, match="how many classes"):
        untuned.make_batch(x, torch.tensor([2, 0]))
