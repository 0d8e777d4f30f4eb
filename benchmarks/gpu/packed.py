"""What many small trials gain as one batched model, or as CUDA graphs beside each other.

An upper bound: plain steps of cross-entropy by SGD with momentum, without augmentation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import ROUNDS, SHORTEST, shape_of
from benchmarks.record_file import Record
from benchmarks.timing import interleaved, ratios, seconds_of
from pipelines.models.build import build

MODELS = ("mlp", "cnn", "resnet32")
TRIALS = (4, 16)
RATE, MOMENTUM = 0.1, 0.9
Work = Callable[[], None]


def packed(model: str, place: Place) -> Iterator[Record]:
    """Trials per second of K trials at once, as a multiple of one after the other."""
    plain = _graph(_plain(model, place), place)
    repeats = max(1, round(SHORTEST / seconds_of(plain, 1, place.device)))
    for trials in TRIALS[:1] if place.tiny else TRIALS:
        ways = {"vmap": _graph(_batched(model, trials, place), place)}
        ways["streams"] = _beside([_plain(model, place) for _ in range(trials)], place)
        columns = interleaved(
            [plain, *ways.values()], repeats, 2 if place.tiny else ROUNDS, place.device
        )
        for way, seconds in zip(ways, columns[1:], strict=True):
            found = ratios(seconds, columns[0], trials)
            found["trials_ratio_to_plain"] = trials / found["ratio_to_plain"]
            yield {"model": model, "way": way, "trials": trials} | found


def _network(model: str, place: Place) -> nn.Module:
    shape = shape_of(model, "float32", place)
    return build(shape.protocol().model, (3, 32, 32), 10).to(place.device)


def _examples(place: Place) -> tuple[Tensor, Tensor]:
    batch = 10 if place.tiny else 100
    x = torch.randn(batch, 3, 32, 32, device=place.device)
    return x, torch.arange(batch, device=place.device) % 10


def _plain(model: str, place: Place) -> Work:
    """A trial's step."""
    network, (x, y) = _network(model, place), _examples(place)
    fused = place.device.type == "cuda"
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def _batched(model: str, trials: int, place: Place) -> Work:
    """The same step of many trials: parameters [K, ...], rates [K]."""
    networks = [_network(model, place) for _ in range(trials)]
    theta, buffers = stack_module_state(networks)
    theta = {name: value.detach() for name, value in theta.items()}
    velocity = {name: torch.zeros_like(value) for name, value in theta.items()}
    rates = torch.full((trials,), RATE, device=place.device)
    inside = copy.deepcopy(networks[0])
    x, y = (torch.stack([part] * trials) for part in _examples(place))

    def loss(theta: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(inside, (theta, buffers), (x,)), y)

    gradients = vmap(grad(loss))

    def step() -> None:
        for name, gradient in gradients(theta, buffers, x, y).items():
            rate = rates.reshape(-1, *[1] * (gradient.dim() - 1))
            theta[name].sub_(rate * velocity[name].mul_(MOMENTUM).add_(gradient))

    return step


def _graph(work: Work, place: Place) -> Work:
    """The work, recorded where there is something to record it on."""
    if place.device.type != "cuda":
        return work
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()

    def replay(_memory: Work = work) -> None:  # the graph reads what the work holds
        graph.replay()

    return replay


def _beside(works: list[Work], place: Place) -> Work:
    """All of them, each on a stream of its own where there are any."""
    graphs = [_graph(work, place) for work in works]
    cuda = place.device.type == "cuda"
    streams = [torch.cuda.Stream() if cuda else None for _ in graphs]

    def step() -> None:
        for graph, stream in zip(graphs, streams, strict=True):
            with torch.cuda.stream(stream):
                graph()

    return step
