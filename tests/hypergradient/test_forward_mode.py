"""Forward mode against PyTorch's own rules, and against the operators that it ought to take."""

from collections import Counter

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import jvp
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.hypergradient.forward_mode import forward_mode

LAYERS = {
    "linear": (functional.linear, (5, 4), (6, 4)),
    "linear of sequences": (functional.linear, (5, 3, 4), (6, 4)),
    "conv1d": (functional.conv1d, (5, 2, 7), (6, 2, 3)),
    "conv2d": (functional.conv2d, (5, 2, 7, 7), (6, 2, 3, 3)),
    "conv3d": (functional.conv3d, (5, 2, 4, 4, 4), (6, 2, 3, 3, 3)),
}
layers = pytest.mark.parametrize("name", LAYERS)


def tensors(name):
    """A layer, its input, and its parameters with their tangents: weight, bias."""
    torch.manual_seed(0)
    layer, x, weight = LAYERS[name]
    parameters = [torch.randn(weight).double(), torch.randn(6).double()]
    return layer, torch.randn(x).double(), parameters, [torch.randn_like(p) for p in parameters]


def derivative(function, parameters, tangents):
    """Value and tangent of a function of parameters, in our forward mode."""
    with forward_mode():
        duals = [
            p if t is None else forward_ad.make_dual(p, t)
            for p, t in zip(parameters, tangents, strict=True)
        ]
        return tuple(forward_ad.unpack_dual(function(*duals)))


class Operators(TorchDispatchMode):
    """Counts matrix products and convolutions."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count[name] += name in ("mm", "addmm", "bmm", "convolution")
        return func(*args, **(kwargs or {}))


@layers
@pytest.mark.parametrize("deeper", [False, True])
def test_it_is_what_pytorch_says(name, deeper):
    layer, x, parameters, tangents = tensors(name)

    def function(weight, bias):
        return layer(torch.tanh(x * bias.mean()) if deeper else x, weight, bias).square()

    found = derivative(function, parameters, tangents)
    expected = jvp(function, tuple(parameters), tuple(tangents))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@layers
def test_a_layer_of_a_constant_input_is_taken_twice_and_a_deeper_one_three_times(name):
    layer, x, parameters, tangents = tensors(name)
    for function, times in (
        (lambda weight, bias: layer(x, weight, bias), 2),
        (lambda weight, bias: layer(x * bias.mean(), weight, bias), 3),
    ):
        with Operators() as operators:
            derivative(function, parameters, tangents)
        assert operators.count.total() == times


@pytest.mark.parametrize("constant", [0, 1])
def test_parameters_without_a_tangent_are_constants(constant):
    layer, x, parameters, tangents = tensors("linear")
    zeros = [torch.zeros_like(t) if n == constant else t for n, t in enumerate(tangents)]
    some = [None if n == constant else t for n, t in enumerate(tangents)]

    def function(weight, bias):
        return layer(x, weight, bias)

    expected = jvp(function, tuple(parameters), tuple(zeros))
    torch.testing.assert_close(derivative(function, parameters, some), expected)


@pytest.mark.parametrize("way", ["no bias", "keywords", "stride and padding"])
def test_however_a_layer_is_called(way):
    layer, x, parameters, tangents = tensors("conv2d")
    function = {
        "no bias": lambda weight, bias: layer(x, weight, None) + bias.mean(),
        "keywords": lambda weight, bias: layer(x, weight, bias=bias, padding=1),
        "stride and padding": lambda weight, bias: layer(x, weight, bias, (2, 2), 1),
    }[way]
    found = derivative(function, parameters, tangents)
    torch.testing.assert_close(found, jvp(function, tuple(parameters), tuple(tangents)))


def test_under_autocast_values_and_tangents_are_bfloat16():
    layer, x, parameters, tangents = tensors("linear")
    with torch.autocast("cpu", torch.bfloat16):
        found = derivative(
            lambda weight, bias: layer(x.float(), weight, bias),
            [p.float() for p in parameters],
            [t.float() for t in tangents],
        )
    assert [t.dtype for t in found] == [torch.bfloat16] * 2
    expected = jvp(lambda w, b: layer(x, w, b), tuple(parameters), tuple(tangents))
    for value, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), reference, rtol=0.05, atol=0.05)


def per_example(x):
    """A model that maps its layer over the examples."""
    return lambda weight, bias: torch.vmap(lambda row: functional.linear(row, weight, bias))(x)


def test_a_model_that_maps_over_examples_is_left_to_pytorch():
    _, x, parameters, tangents = tensors("linear")
    function = per_example(x)
    found = derivative(function, parameters, tangents)
    torch.testing.assert_close(found, jvp(function, tuple(parameters), tuple(tangents)))


def test_a_model_that_differentiates_is_left_to_pytorch():
    """A force: the gradient of the layer's own energy in its input."""
    layer, x, parameters, tangents = tensors("linear")

    def energy(x, weight, bias):
        return torch.tanh(layer(x, weight, bias)).square().sum()

    def force(weight, bias):
        with torch.enable_grad():
            place = x.clone().requires_grad_()
            value = energy(place, weight, bias)
            return torch.autograd.grad(value, place, create_graph=True)[0].square()

    def reference(weight, bias):
        return torch.func.grad(energy)(x, weight, bias).square()

    found = derivative(force, parameters, tangents)
    expected = jvp(reference, tuple(parameters), tuple(tangents))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_no_graph_is_built():
    layer, x, parameters, tangents = tensors("linear")
    wanted = [p.requires_grad_() for p in parameters]
    found = derivative(lambda weight, bias: layer(x, weight, bias), wanted, tangents)
    assert not any(t.requires_grad for t in found)
