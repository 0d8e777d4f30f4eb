"""What a step costs on the device, by model and precision; what TF32 and cuDNN's search gain."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.gains import measure as gains
from benchmarks.gpu.place import Place
from benchmarks.record_file import Record
from benchmarks.step import measure
from benchmarks.steppers import Case, Shape, Stepper, make_trial
from benchmarks.timing import interleaved, ratios, seconds_of, warm_up

SHORTEST = 0.03  # seconds of one measurement: a GPU's steps are short, and its clock is its own
ROUNDS, BATCH = 7, 100
CASES = [
    Case("ce"),
    Case("l2rw"),
    Case("mw_net"),
    Case("gce_learned"),
    Case("ce", without=("cuda_graph",)),
    Case("l2rw", without=("cuda_graph",)),
    Case("mw_net", without=("cuda_graph",)),
    Case("l2rw", {"engine": "double_backward"}),
    Case("mw_net", {"engine": "double_backward"}),
    Case("mw_net", {"engine": "double_backward"}, "higher"),
    Case("mw_net", {"engine": "double_backward"}, "torchopt"),
    Case("mw_net", {"lookahead": "alternating"}),
    Case("mw_net", {"graph": "retain"}),
    Case("l2rw", {"last_layers": 1}),
    Case("l2rw", {"engine": "one_sided_difference", "graph": "retain"}),
]
#: Of a model whose recordings would not all fit into the memory.
FEW = [*CASES[:4], Case("mw_net", {"engine": "double_backward"})]
LARGE = "wrn_28_10"
TINY = {"resnet32": ("cnn", {"width": 2}), "wrn_28_10": ("cnn", {"width": 4})}
VIT = "benchmarks.vit:vit_tiny"


def shape_of(model: str, precision: str, place: Place) -> Shape:
    """The model at batch 100; in a dry run a smaller one at 10."""
    name, options = TINY.get(model, (model, {})) if place.tiny else (model, {})
    options = {"layers": 1} if place.tiny and model == VIT else options
    batch = 10 if place.tiny else BATCH
    return Shape(name, batch, options=options, precision=precision)


def steps(model: str, precision: str, place: Place) -> Iterator[Record]:
    """All ways to take a step, beside the plain one; `share_of_peak` is of `ceilings`."""
    shape = shape_of(model, precision, place)
    cases = [
        case
        for case in (FEW if model == LARGE else CASES)
        if not (model == VIT and case.peer)  # whose attention has no second derivative
        if precision == "float32" or not case.meta.get("engine", "").endswith("_difference")
    ]
    rounds = 2 if place.tiny else ROUNDS
    yield from measure(shape, place.device, rounds, cases, SHORTEST)


def fast_paths(model: str, precision: str, place: Place) -> Iterator[Record]:
    """Each step without each fast path."""
    rounds = 2 if place.tiny else ROUNDS
    yield from gains(shape_of(model, precision, place), place.device, rounds, SHORTEST)


def settings(place: Place) -> Iterator[Record]:
    """ResNet-32's steps in each precision, and with cuDNN's search for the fastest kernel."""
    works, names = [], []
    for precision in ("float32", "tfloat32", "bfloat16"):
        for search in (False, True):
            torch.backends.cudnn.benchmark = search
            shape = shape_of("resnet32", precision, place)
            for arm in ("ce", "l2rw", "mw_net"):
                trial = make_trial(shape, arm, place.device)
                step = Stepper(Case(arm), trial, shape.batch)
                warm_up(step, place.device)
                works.append(step)
                names.append({"arm": arm, "precision": precision, "cudnn_search": search})
    torch.backends.cudnn.benchmark = False
    repeats = max(1, round(SHORTEST / seconds_of(works[0], 1, place.device)))
    rounds = 2 if place.tiny else ROUNDS
    columns = interleaved([*works], repeats, rounds, place.device)
    for number, (name, seconds) in enumerate(zip(names, columns, strict=True)):
        yield name | ratios(
            seconds, columns[number % 3], works[number].training.schedule.batch_size
        )


def ceilings(place: Place) -> Iterator[Record]:
    """What the device does at most: a large matrix product on random data, and a copy."""
    size = 128 if place.tiny else 8192
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (torch.randn(size, size, device=place.device, dtype=dtype) for _ in range(2))
        seconds = _median_seconds(partial(torch.mm, a, b, out=torch.empty_like(a)), place)
        yield {"what": f"matrix product, {dtype}", "flops_per_second": 2 * size**3 / seconds}
    source = torch.randn(32 * size * size, device=place.device)
    seconds = _median_seconds(partial(torch.empty_like(source).copy_, source), place)
    yield {"what": "copy, read and written", "bytes_per_second": 2 * source.nbytes / seconds}


def _median_seconds(work: Callable[[], Tensor], place: Place) -> float:
    return statistics.median(seconds_of(work, 10, place.device) for _ in range(5))
