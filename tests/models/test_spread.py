"""A batch that is spread over two processes: what it gives is what a whole one gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from methods.objective import generator
from pipelines.errors import UserError
from pipelines.hypergradient.forward_mode import forward_mode
from pipelines.models.network import Network, tensors_of
from pipelines.models.rows import Rows
from tests.support.two_processes import in_two

Found = dict[str, list[Tensor]]


@pytest.mark.parametrize(("total", "processes"), [(7, 2), (2, 2), (64, 3), (5, 4)])
def test_each_row_is_of_one_process_and_none_has_two_more_than_another(total: int, processes: int):
    parts = [Rows.of(total, number, processes) for number in range(processes)]
    held = [row for first, count, _ in parts for row in range(first, first + count)]
    assert held == list(range(total))
    assert max(p.count for p in parts) - min(p.count for p in parts) <= 1


def convolutional() -> nn.Module:
    """All layers of the built-in models that look across a batch, or draw for one."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Dropout2d(0.3),
        nn.Conv2d(6, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(64, 8),
        nn.BatchNorm1d(8, track_running_stats=False),
        nn.Linear(8, 5),
    )


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 7), nn.Tanh(), nn.Linear(7, 5))


class AcrossTheBatch(nn.Module):
    """A layer of somebody's own that nobody knows of."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(108, 5)

    def forward(self, x: Tensor) -> Tensor:
        z = self.inner(x.flatten(1))
        return z - z.mean(dim=0)


def made(build: Callable[[], nn.Module], dtype: torch.dtype = torch.float64) -> Network:
    torch.default_generator.manual_seed(3)
    network = Network(build().to(dtype), features=True, spread=True)
    network.step_key = (5, 0)
    return network


def inputs(size: int) -> Tensor:
    return torch.randn(size, 3, 6, 6, generator=generator("x"), dtype=torch.float64)


def first_loss(network: Network, theta: dict[str, Tensor], x: Tensor) -> Tensor:
    """A loss in which rows depend on each other."""
    network.reseed("forward")
    logits, features = tensors_of(network.forward_with(theta, x))
    each = logits.logsumexp(dim=1) + features.square().mean(dim=1)
    return (each.softmax(dim=0) * each).sum()


def derivatives(case: tuple[Callable[[], nn.Module], int]) -> Found:
    """Outputs, first and second derivatives in reverse, tangents, and what the model remembers."""
    build, size = case
    network, x = made(build), inputs(size).requires_grad_()
    network.reseed("forward")
    found = {"outputs": [*tensors_of(network(x.detach()))]}
    found["remembered"] = [b.double() for b in network.model.buffers()]
    theta = {n: p.detach().requires_grad_() for n, p in network.parameters().items()}
    loss = first_loss(network, theta, x)
    wanted = [*theta.values(), x]
    slopes = torch.autograd.grad(loss, wanted, create_graph=True)
    found["slopes"] = [s.detach() for s in slopes]
    inner = torch.stack([s.square().sum() for s in slopes]).sum()
    found["second"] = [*torch.autograd.grad(inner, wanted)]
    with forward_mode():
        dual = {n: forward_ad.make_dual(p.detach(), p.detach().cos()) for n, p in theta.items()}
        network.reseed("forward")
        pairs = [
            forward_ad.unpack_dual(t) for t in tensors_of(network.forward_with(dual, x.detach()))
        ]
    found["tangents"] = [t for p in pairs if (t := p.tangent) is not None]
    found["evaluated"] = [*tensors_of(network.evaluate([x.detach()]))]
    return {name: [t.detach() for t in tensors] for name, tensors in found.items()}


CASES = [(convolutional, 7), (convolutional, 2), (plain, 7), (plain, 1)]


def all_derivatives(cases: list[tuple[Callable[[], nn.Module], int]]) -> list[Found]:
    return [derivatives(case) for case in cases]


@pytest.mark.slow
def test_all_derivatives_are_those_of_a_whole_batch():
    """Of an uneven batch, of one row for each process, and of one that cannot be spread."""
    for spread, whole in zip(in_two(all_derivatives, CASES), all_derivatives(CASES), strict=True):
        assert spread.keys() == whole.keys() and len(whole["tangents"]) == 2
        for name, tensors in whole.items():
            assert len(tensors) == len(spread[name])
            # Of all: a bias before BatchNorm has slopes that are 0 but for noise.
            largest = max((t.abs().max() for t in tensors), default=0.0)
            for one, other in zip(spread[name], tensors, strict=True):
                assert (one - other).abs().max() <= 1e-9 * largest, name


def refusal(build: Callable[[], nn.Module]) -> str:
    network = made(build)
    try:
        network(inputs(8))
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_a_model_that_looks_across_the_batch_by_itself_is_refused_by_name():
    refused = in_two(refusal, AcrossTheBatch)
    assert refused.startswith("model AcrossTheBatch: gives other outputs or gradients where its ")
    assert "--gpus-per-trial 1" in refused


def test_alone_a_process_calls_the_model_itself():
    network = made(AcrossTheBatch)
    assert not network.spread and refusal(AcrossTheBatch) == ""
