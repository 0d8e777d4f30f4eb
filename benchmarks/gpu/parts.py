"""The parts, most valuable first: what each is called, how long it may take, and what it does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.accuracy import hypergradients, repeated
from benchmarks.gpu.packed import MODELS, packed
from benchmarks.gpu.place import Place
from benchmarks.gpu.sharing import sharing
from benchmarks.gpu.steps import VIT, ceilings, fast_paths, settings, steps
from benchmarks.gpu.studies import cifar10
from benchmarks.record_file import Record

ROOT = Path(__file__).parents[2]
SUMMARY = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


class Part(NamedTuple):
    """What is to be found out, and the most seconds that it may take."""

    seconds: int
    find: Callable[[Place], Iterator[Record]]


def gpu_tests(place: Place) -> Iterator[Record]:
    """The tests that need a GPU; which failed is in `tests.log`."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu", "-n", "12"]
    # Warnings are errors for the torch that the project is tested with, and may be another here.
    command += ["-rfE", "--tb=short", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
    with (place.out / "tests.log").open("w") as log:
        subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
    lines = (place.out / "tests.log").read_text().splitlines()
    counts = {name: int(number) for number, name in SUMMARY.findall(lines[-1] if lines else "")}
    yield {"passed": 0, "failed": 0, "skipped": 0} | counts
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            yield {"problem": line[:300]}


PARTS: dict[str, Part] = {
    "ceilings": Part(30, ceilings),
    "tests": Part(150, gpu_tests),
    "steps resnet32 float32": Part(90, partial(steps, "resnet32", "float32")),
    "steps resnet32 bfloat16": Part(90, partial(steps, "resnet32", "bfloat16")),
    "sharing": Part(80, partial(sharing, False)),
    "sharing, MPS": Part(80, partial(sharing, True)),
    **{f"packed {model}": Part(90, partial(packed, model)) for model in MODELS},
    "steps vit_tiny bfloat16": Part(90, partial(steps, VIT, "bfloat16")),
    "steps wrn_28_10 bfloat16": Part(90, partial(steps, "wrn_28_10", "bfloat16")),
    "settings": Part(60, settings),
    "repeated": Part(60, repeated),
    "hypergradients": Part(60, hypergradients),
    "fast paths resnet32": Part(90, partial(fast_paths, "resnet32", "bfloat16")),
    "fast paths mlp": Part(90, partial(fast_paths, "mlp", "float32")),
    "study flip": Part(1800, partial(cifar10, "flip")),
    "study worst": Part(1800, partial(cifar10, "worst")),
    "study uniform": Part(1800, partial(cifar10, "uniform")),
    **{
        f"steps {model} float32": Part(90, partial(steps, model, "float32"))
        for model in ("mlp", VIT, "wrn_28_10")
    },
}
