"""Networks have the published sizes, and forward-mode derivatives that are right."""

import pytest
import torch
import torch.autograd.forward_ad as fwd
from torch import nn
from torch.func import functional_call

from pipelines.errors import UserError
from pipelines.models.build import build
from pipelines.models.zoo import MODELS, ProjectedBlock, ResidualBlock, WideBlock
from pipelines.study.protocol import Model

SMALL = [
    ("mlp", {"dropout": 0.2}, (12,)),
    ("mlp", {"hidden": [16]}, (1, 8, 8)),
    ("cnn", {"width": 4}, (1, 8, 8)),
    ("cnn", {"width": 4}, (3, 32, 32)),
    ("resnet32", {}, (3, 16, 16)),
    ("resnet32", {}, (1, 28, 28)),
    ("wrn_28_10", {"depth": 10, "width": 1, "dropout": 0.3}, (3, 16, 16)),
    pytest.param("cifar_resnet", {"depth": 18}, (3, 8, 8), marks=pytest.mark.slow),
    pytest.param("preact_resnet", {}, (3, 8, 8), marks=pytest.mark.slow),
    ("cnn8", {}, (3, 8, 8)),
    pytest.param("cnn9", {}, (1, 28, 28), marks=pytest.mark.slow),
    ("resnet18", {}, (3, 32, 32)),
    ("resnet50", {}, (1, 32, 32)),
]
CASES = pytest.mark.parametrize(("name", "options", "shape"), SMALL)


def network(name: str, options: dict, shape: tuple[int, ...], classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return build(Model(name=name, options=options), shape, classes)


def own(*, input_shape: tuple[int, ...], classes: int, bias: bool = True) -> nn.Module:
    return nn.Linear(input_shape[0], classes, bias=bias)


def not_a_network(*, input_shape: tuple[int, ...], classes: int) -> str:
    return f"{input_shape} {classes}"


@CASES
def test_inputs_become_logits(name, options, shape):
    net = network(name, options, shape)
    for mode in (True, False):
        assert net.train(mode)(torch.randn(4, *shape)).shape == (4, 5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
@CASES
def test_forward_mode_derivative_equals_a_finite_difference(name, options, shape):
    """In float64 and training mode, so with batch statistics and one dropout mask."""
    net = network(name, options, shape).double().train()
    x = torch.randn(6, *shape, dtype=torch.float64)
    theta = {k: p.detach() for k, p in net.named_parameters()}
    v = {k: torch.randn_like(p) * p.abs().mean() for k, p in theta.items()}

    def logits(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        torch.manual_seed(1)
        return functional_call(net, parameters, (x,))

    with torch.no_grad(), fwd.dual_level():
        duals = {k: fwd.make_dual(theta[k], v[k]) for k in theta}
        primal, tangent = fwd.unpack_dual(logits(duals))
        assert all(fwd.unpack_dual(b).tangent is None for b in net.buffers())
        h = 1e-8  # so small that no ReLU of a deep network switches in between
        up, down = ({k: theta[k] + s * h * v[k] for k in theta} for s in (1, -1))
        difference = (logits(up) - logits(down)) / (2 * h)
    assert torch.equal(primal, logits(theta))
    assert tangent is not None
    assert (tangent - difference).norm() <= 1e-5 * difference.norm()


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters"),
    [
        ("mlp", (64,), 10, 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("resnet32", (3, 32, 32), 10, 464_154),  # 0.46 M, He et al. 2016, table 6
        ("wrn_28_10", (3, 32, 32), 10, 36_479_194),  # 36.5 M, Zagoruyko and Komodakis 2016
        ("cifar_resnet", (3, 32, 32), 10, 21_282_122),
        ("preact_resnet", (3, 32, 32), 10, 11_172_170),
        ("cnn9", (3, 32, 32), 10, 4_434_570),
        ("resnet18", (3, 224, 224), 1000, 11_689_512),
        ("resnet50", (3, 224, 224), 1000, 25_557_032),
    ],
)
def test_published_numbers_of_parameters(name, shape, classes, parameters):
    with torch.device("meta"):
        net = build(Model(name=name), shape, classes)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [
        ("resnet32", 31),
        ("wrn_28_10", 28),
        ("cifar_resnet", 33 + 3),
        ("preact_resnet", 17 + 3),
        ("cnn8", 6),
        ("cnn9", 9),
    ],
)
def test_depth(name, convolutions):
    """ResNets count their last layer too, and no shortcuts; WRN-28-10 its three instead."""
    with torch.device("meta"):
        net = build(Model(name=name), (3, 32, 32), 10)
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == convolutions


def test_option_a_shortcut_subsamples_and_pads_channels():
    block = ResidualBlock(2, 4, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 2, 4, 4)
    y = block(x)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert not y[:, [0, 3]].any()


def test_projected_shortcut_is_the_identity_or_a_normalised_convolution():
    x = torch.rand(1, 2, 4, 4)
    same, other = ProjectedBlock(2, 2, 1).eval(), ProjectedBlock(2, 4, 2).eval()
    for block in (same, other):
        nn.init.zeros_(block.conv2.weight)
    assert torch.equal(same(x), x)
    conv, norm = other.shortcut
    assert torch.equal(other(x), norm(conv(x)).relu()) and other(x).shape == (1, 4, 2, 2)


def test_wide_shortcut_is_the_identity_or_a_convolution_of_the_activation():
    x = torch.randn(1, 2, 4, 4)
    for outputs, stride in ((2, 1), (4, 1), (2, 2)):
        block = WideBlock(2, outputs, stride, dropout=0.0).eval()
        nn.init.zeros_(block.conv2.weight)
        if block.shortcut is None:
            assert (outputs, stride) == (2, 1)
            assert torch.equal(block(x), x)
        else:
            assert torch.equal(block(x), block.shortcut(block.norm1(x).relu()))


def test_wide_block_activates_before_it_convolves():
    block = WideBlock(2, 2, 1, dropout=0.0).eval()
    x = -torch.rand(1, 2, 4, 4)  # no unit is active: the convolutions see zeros
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", MODELS)
def test_same_global_seed_same_weights(name):
    options = {"wrn_28_10": {"depth": 10, "width": 1}, "cifar_resnet": {"depth": 18}}.get(name, {})
    shape = (3, 32, 32)
    first, again = (network(name, options, shape).state_dict() for _ in range(2))
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_own_factory_by_dotted_path():
    model = Model(name=f"{__name__}:own", options={"bias": False})
    assert build(model, (7,), 3)(torch.ones(2, 7)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "options", "shape", "message"),
    [
        ("resnet", {}, (3, 32, 32), "model.name = 'resnet': allowed are mlp, cnn, resnet32"),
        ("mlp", {"width": 3}, (4,), "mlp has no option 'width'; allowed: hidden, dropout"),
        ("resnet32", {"width": 3}, (3, 32, 32), "allowed: none"),
        ("mlp", {"hidden": [0]}, (4,), r"model.options.hidden.0 = 0: .*greater than 0"),
        (
            "mlp",
            {"hidden": [2**70]},
            (4,),
            r"model.options.hidden.0 = \d+: .*less than 1152921504606846976",
        ),
        ("wrn_28_10", {"depth": 6 * 10**9 + 4}, (3, 8, 8), r"model.options.depth = .*than 10000"),
        ("mlp", {"dropout": 1.0}, (4,), "model.options.dropout = 1.0: .*less than 1"),
        ("wrn_28_10", {"depth": 27}, (3, 32, 32), r"depth = 27: must be 6 n \+ 4"),
        ("cnn", {}, (4,), "is for images"),
        ("cnn", {}, (1, 7, 9), "at least 8 x 8"),
        ("cnn8", {}, (1, 7, 9), "at least 8 x 8"),
        ("cnn9", {}, (3, 27, 32), "at least 28 x 28"),
        ("preact_resnet", {"depth": 50}, (3, 32, 32), r"depth = 50: .*18 or 34"),
        ("nowhere:net", {}, (4,), "'nowhere' is neither installed"),
        (f"{__name__}:own", {"width": 3}, (4,), "unexpected keyword argument 'width'"),
        (f"{__name__}:not_a_network", {}, (4,), "must return a torch.nn.Module, not str"),
    ],
)
def test_a_wrong_name_or_option_is_refused(name, options, shape, message):
    with pytest.raises(UserError, match=message) as caught:
        build(Model(name=name, options=options), shape, 3)
    assert "\n" not in str(caught.value)


def fails(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    raise KeyError("weights")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"hidden": [10**12]}, "model.options of mlp: .*allocate"),
        ("builtins:dict", {}, "model.options: builtins:dict called with .*no signature"),
        (f"{__name__}:fails", {}, "fails': fails with KeyError: 'weights'"),
    ],
)
def test_whatever_a_factory_raises_is_told_in_one_line(name, options, message):
    with pytest.raises(UserError, match=message):
        build(Model(name=name, options=options), (1, 8, 8), 5)
