"""The self-check before the first step: it refuses no model that is right, and every wrong one."""

import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.errors import UserError
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.hypergradient.model_calls import reverse_mode
from pipelines.hypergradient.self_check import NoRule
from pipelines.models.build import build
from pipelines.models.network import Network, same_random_state
from pipelines.study.phases import Meta
from pipelines.study.protocol import Model
from tests.hypergradient.odd_models import (
    Detached,
    DrawsFrom,
    Float32Matrix,
    Float32Norm,
    Follows,
    Hoards,
    NoTangent,
    Off,
    PassesBy,
    Quietly32,
    Reentrant,
    StraightThrough,
    Times,
    Untaught,
    Unused,
    WrongRule,
    below_zero,
    checkpointed_rightly,
    one_feature,
    zero,
)
from tests.support.random_models import Dice, random_model

EXACT = ["forward", "double_backward"]


TWICE = ["forward_accumulation", "neumann", "conjugate_gradient"]  # differentiate it twice
TANGENT = [*EXACT, "finite_difference", "one_sided_difference"]
ENGINES = [*TANGENT, "t1_t2", *TWICE]


CPU = torch.device("cpu")


def check(model, x, engine="forward", **meta):
    objective = GeneralizedCrossEntropy(0.6, learn=True)
    learner = MetaLearner(objective, Network(model), Meta(engine=engine, **meta))
    with same_random_state(CPU):
        learner.check(model, x)


def trains(model, x):
    try:
        model(x)
    except ValueError:  # one value in a channel
        return False
    return True


def check_random_models(seeds, engines):
    checked = 0
    for seed in seeds:
        for engine in engines:
            model, x = random_model(seed)
            if trains(model, x):
                check(model, x, engine)
                checked += 1
    return checked


def test_no_random_model_is_refused():
    assert check_random_models(range(50), ["forward"]) > 45


@pytest.mark.slow
def test_none_of_a_thousand_random_models_is_refused():
    assert check_random_models(range(50, 1050), TANGENT) > 3900


@pytest.mark.slow
def test_nor_by_engines_that_differentiate_it_otherwise():
    assert check_random_models(range(50, 70), ["t1_t2", *TWICE]) == 80


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("resnet18", {}, 64),
        pytest.param("resnet50", {}, 32, marks=pytest.mark.slow),
        ("resnet32", {}, 16),
        ("wrn_28_10", {"depth": 10, "width": 2, "dropout": 0.3}, 16),
        ("mlp", {"hidden": [16]}, 64),
        ("cnn", {}, 32),
    ],
)
def test_no_network_of_ours_is_refused_on_photos(name, options, size):
    """Brightness differs from image to image: a finite difference steps over kinks."""
    torch.manual_seed(0)
    x = 0.3 * torch.randn(4, 3, size, size) + torch.randn(4, 1, 1, 1)
    check(build(Model(name=name, options=options), (3, size, size), 10), x)


RIGHT = {
    "unused parameter": Unused,
    "norm in float32": lambda: nn.Sequential(nn.Linear(6, 5), Float32Norm(5), nn.Linear(5, 3)),
    "matrix in float32": Float32Matrix,
    "float32 on the way": Quietly32,
    "moving buffer": Follows,
    "straight-through": StraightThrough,
    "PReLU at zero": one_feature,
    "checkpoint": checkpointed_rightly,
    "last layer at zero": lambda: nn.Sequential(nn.Linear(6, 5), zero(nn.Linear(5, 3))),
    "dead units": lambda: nn.Sequential(nn.Linear(6, 5), below_zero(), nn.ReLU(), nn.Linear(5, 3)),
    "explodes": lambda: nn.Sequential(nn.Linear(6, 5), Times(1e200), nn.Linear(5, 3)),
}


@pytest.fixture
def x():
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_is_not_refused_however_unusual(name, engine, x):
    torch.manual_seed(0)
    check(RIGHT[name](), x, engine)


def test_a_layer_without_a_rule_does_no_harm_before_those_that_look_ahead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), NoTangent(), nn.Linear(5, 3))
    check(model, torch.randn(8, 6), last_layers=1)
    with pytest.raises(NoRule):
        check(model, torch.randn(8, 6))


def with_wrong_rule(seed):
    """A random model with the wrong rule behind some layer, and an input."""
    model, x = random_model(seed)
    layers = list(model)
    first = next(i for i, layer in enumerate(layers) if list(layer.parameters()))
    place = first + 1 + Dice(seed + 1).below(len(layers) - first)
    return nn.Sequential(nn.Sequential(*layers[:place]), WrongRule(), *layers[place:]), x


def matters(model, x):
    """Not where all units behind are dead, or the gradient has vanished on the way."""
    if not trains(model, x):
        return False
    learner = MetaLearner(MetaWeightNet(), Network(model), Meta())
    with same_random_state(CPU):
        calls = learner._calls(deepcopy(model), x, torch.float64)
        sizes = {name: g.norm() for name, g in reverse_mode(calls).gradients.items()}
    before = [size for name, size in sizes.items() if name.startswith("0.")]
    return max(before) > 1e-3 * max(sizes.values())


def missed(seeds):
    """Of how many the wrong rule matters in, and where it was not found."""
    wrong, found = [], []
    for seed in seeds:
        model, x = with_wrong_rule(seed)
        if matters(model, x):
            wrong.append(seed)
            try:
                check(model, x)
            except UserError as error:
                found += [seed] * ("is wrong for this model" in str(error))
    return len(wrong), sorted(set(wrong) - set(found))


@pytest.mark.parametrize("factor", [0.0, 0.9, 2.0])
def test_a_wrong_rule_is_found_in_every_random_model(factor, monkeypatch):
    monkeypatch.setattr(Off, "factor", factor)
    of, where = missed(range(10))
    assert of >= 8 and where == []


@pytest.mark.slow
def test_a_wrong_rule_is_found_in_each_of_a_thousand_random_models():
    of, where = missed(range(50, 1050))
    assert of > 900 and where == []


WRONG = {
    "wrong rule": (lambda: nn.Sequential(nn.Linear(6, 3), WrongRule()), r"of 2 of its gradient"),
    "no rule": (lambda: nn.Sequential(nn.Linear(6, 3), NoTangent()), r"jvp.*double_backward"),
    "list": (Hoards, r"does not reach its parameter 'linear\.weight'"),
    "random": (lambda: DrawsFrom(random.random), "gives different outputs; it may draw from numpy"),
    "numpy": (lambda: DrawsFrom(np.random.default_rng(0).random), "gives different outputs"),
    "hook": (PassesBy, "is wrong for this model"),
    "detached": (lambda: nn.Sequential(nn.Linear(6, 3), Detached()), "no gradient reaches"),
    "reentrant first": (lambda: Reentrant(True), r"'block\.0\.weight'.*use_reentrant=False"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_is_refused_in_one_line(name, x):
    torch.manual_seed(0)
    make, message = WRONG[name]
    with pytest.raises(UserError, match=message) as caught:
        check(make(), x)
    assert "\n" not in str(caught.value)


def test_reentrant_checkpoints_within_a_model_cannot_be_differentiated(x):
    with pytest.raises(RuntimeError, match="use_reentrant=True"):  # so that no arm trains it
        check(Reentrant(False), x)


@pytest.mark.parametrize("engine", ["finite_difference", "one_sided_difference"])
def test_a_finite_difference_is_asked_for_no_more_than_to_run(engine, x):
    check(nn.Sequential(nn.Linear(6, 3), WrongRule()), x, engine)
    with pytest.raises(UserError, match="does not reach"):  # but of the right model
        check(Hoards(), x, engine)


class Cubed(torch.autograd.Function):
    """Differentiated once it is right, forward and backward; twice it is not at all."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        [x] = ctx.saved_tensors
        return grad * 3 * x**2

    @staticmethod
    def jvp(ctx, tangent):
        [x] = ctx.saved_tensors
        return tangent * 3 * x**2


class OnlyOnce(nn.Module):
    def forward(self, x):
        return Cubed.apply(x)


def test_an_engine_is_asked_for_no_derivative_that_it_does_not_take(x):
    model = nn.Sequential(nn.Linear(6, 4), OnlyOnce(), nn.Linear(4, 3))
    for engine in ("forward", "t1_t2"):
        check(deepcopy(model), x, engine)
    refused = [{"engine": e} for e in TWICE] + [{"horizon": 2}, {"engine": "double_backward"}]
    for meta in refused:
        with pytest.raises(UserError, match=r"wrong for this model.*meta\.engine: forward"):
            check(deepcopy(model), x, **meta)


@pytest.mark.parametrize("engine", ["t1_t2", *TWICE])
def test_every_engine_is_judged_by_the_derivative_that_it_takes(engine, x):
    """Forward mode is wrong there, double backward right."""
    model = nn.Sequential(nn.Linear(6, 3), WrongRule())
    if engine in TWICE:
        check(model, x, engine)
    else:
        with pytest.raises(UserError, match=r"wrong for this model.*neumann and terms: 1"):
            check(model, x, engine)


def test_advice_names_an_engine_that_works(x):
    class Once(torch.autograd.Function):
        forward = staticmethod(Untaught.forward)
        backward = staticmethod(torch.autograd.function.once_differentiable(Untaught.backward))

    class NeitherWay(nn.Module):
        def forward(self, x):
            return Once.apply(x)

    with pytest.raises(
        NoRule, match=r"own \(docs/study\.md\) with meta\.engine: finite_difference"
    ):
        check(nn.Sequential(nn.Linear(6, 3), NeitherWay()), x)


def test_memory_that_is_short_is_no_fault_of_the_model(x):
    class Hungry(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)

        def forward(self, x):
            out = self.linear(x)
            if not out.requires_grad:  # in the dual pass
                raise torch.OutOfMemoryError("2 GiB")
            return out

    with pytest.raises(torch.OutOfMemoryError):
        check(Hungry(), x)
