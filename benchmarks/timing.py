"""Time and memory of pieces of work, and their ratios to a plain one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pipelines.training import cuda_graph
from pipelines.training.phase import PhaseTraining

WARM_UP = {"cpu": 1, "cuda": cuda_graph.WARM_UP + 1}  # steps after the first; the last is a replay
SHORTEST = 0.2  # seconds of one measurement
Record = dict[str, Any]


def warm_up(work: Callable[[], None], device: torch.device) -> int:
    """The first steps; the peak of the second, before anything is recorded."""
    work()
    peak = peak_bytes(work, device)
    for _ in range(WARM_UP[device.type]):
        work()
    return peak


def held_bytes(training: PhaseTraining) -> int:
    """What a trial holds between its steps, beside the data set."""
    return sum(t.nbytes for tensors in training.state().values() for t in tensors)


def interleaved(
    works: list[Callable[[], None]], repeats: int, rounds: int, device: torch.device
) -> list[tuple[float, ...]]:
    """Seconds of each piece of work, in rounds of one after the other."""
    times = [[seconds_of(work, repeats, device) for work in works] for _ in range(rounds)]
    return list(zip(*times, strict=True))


def seconds_of(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds of one piece of work, the mean of `repeats`."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize(device)
    start = clock()
    for _ in range(repeats):
        work()
    if cuda:
        torch.cuda.synchronize(device)
    return (clock() - start) / repeats


def peak_bytes(work: Callable[[], None], device: torch.device) -> int:
    """Bytes that are allocated at most during a step, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        work()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()  # pyright: ignore[reportAttributeAccessIssue]
        highest = max(highest, total)
    return highest


class _Multiplications(TorchDispatchMode):
    """Counts those of layers, by PyTorch's formulas of its operators.

    FlopCounterMode itself also follows modules, and fails where gradients in leaves are asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        given = kwargs or {}
        result = func(*args, **given)
        formula = flop_registry.get(func.overloadpacket)
        self.total += formula(*args, **given, out_val=result) if formula else 0
        return result


def multiplications(work: Callable[[], None]) -> int:
    """Multiplications and additions of layers: what a piece of work costs on any machine."""
    with _Multiplications() as counter:
        work()
    return counter.total


def ratios(seconds: tuple[float, ...], plain: tuple[float, ...], batch: int) -> Record:
    """Medians of a way's seconds, and of its ratios to the plain way's of the same round."""
    found = [s / p for s, p in zip(seconds, plain, strict=True)]
    low, middle, high = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
    median = statistics.median(seconds)
    return {
        "seconds": median,
        "images_per_second": batch / median,
        "ratio_to_plain": middle,
        "ratio_low": low,
        "ratio_high": high,
    }
