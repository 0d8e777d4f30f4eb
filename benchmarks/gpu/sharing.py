"""Steps per second of a GPU that several processes share, with and without CUDA's MPS."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import multiprocessing

from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import shape_of
from benchmarks.record_file import Record
from benchmarks.steppers import Case, Stepper, make_trial
from benchmarks.timing import warm_up

WORKS = (
    ("resnet32", "bfloat16", "ce"),
    ("resnet32", "bfloat16", "mw_net"),
    ("mlp", "float32", "ce"),
)
AT_ONCE = (1, 4, 12)
SECONDS = 1.5
PATIENCE = 60  # seconds for a process that may have died


def sharing(mps: bool, place: Place) -> Iterator[Record]:
    """Steps per second of 1 to 12 processes, each a trial of its own."""
    at_once = AT_ONCE[:2] if place.tiny else AT_ONCE
    with multi_process_service(mps):
        context = multiprocessing.get_context("spawn")
        line, barrier = context.Queue(), context.Barrier(at_once[-1])
        given = (place, at_once, line, barrier)
        workers = [context.Process(target=_work, args=(n, *given)) for n in range(at_once[-1])]
        for worker in workers:
            worker.start()
        try:
            for model, precision, arm in WORKS:
                for number in at_once:
                    counts = [line.get(timeout=PATIENCE) for _ in range(number)]
                    what = {"model": model, "precision": precision, "arm": arm, "mps": mps}
                    yield what | {"processes": number, "steps_per_second": sum(counts)}
        finally:
            for worker in workers:
                worker.join(5)
                worker.kill()


def _work(rank: int, place: Place, at_once: tuple[int, ...], line: Any, barrier: Any) -> None:
    torch.set_num_threads(1)
    for model, precision, arm in WORKS:
        shape = shape_of(model, precision, place)
        step = Stepper(Case(arm), make_trial(shape, arm, place.device), shape.batch)
        warm_up(step, place.device)
        for number in at_once:
            barrier.wait(PATIENCE)
            if rank < number:
                line.put(_steps_per_second(step, place))


def _steps_per_second(step: Stepper, place: Place) -> float:
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < (0.1 if place.tiny else SECONDS):
        for _ in range(10):
            step()
        if place.device.type == "cuda":
            torch.cuda.synchronize()
        steps += 10
    return steps / (time.perf_counter() - start)


@contextmanager
def multi_process_service(wanted: bool) -> Iterator[None]:
    """CUDA's MPS for the processes that start inside: their kernels run beside each other.

    Raises:
        RuntimeError: there is none here.
    """
    control = shutil.which("nvidia-cuda-mps-control")
    if not wanted:
        yield
        return
    if control is None:
        raise RuntimeError("nvidia-cuda-mps-control: not found")
    with tempfile.TemporaryDirectory() as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        os.environ |= places
        subprocess.run([control, "-d"], check=True, timeout=20)
        try:
            yield
        finally:
            subprocess.run([control], input=b"quit\n", check=False, timeout=20)
            for name in places:
                del os.environ[name]
