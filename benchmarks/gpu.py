"""Everything that needs a GPU, in one command that goes on where it was stopped.

    python -m benchmarks.gpu OUT [--images FOLDER] [--peak-tflops T]

(a) the step benchmark, and what each fast path gains; (b) images per second and share of the
device's peak; (c, d) with FOLDER, JPEG CIFAR-10 in the ImageFolder layout: 3 data seeds of five
arms, ResNet-32, 25 epochs, with 40 % flipped and with 40 % uniformly redrawn labels, as studies
with their reports.

Needs no Ray: torch, torchvision, numpy, optuna, pyarrow, pydantic, pyyaml, rich and typer for (a)
and (b); wandb, obstore, scipy, scikit-learn, pandas, plotly and jinja2 too for (c) and (d).
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gains import measure as gains
from benchmarks.step import measure, table
from benchmarks.steppers import Case, Shape, Stepper, make_trial
from benchmarks.timing import Record, seconds_of, warm_up

ROOT = Path(__file__).parent.parent
SHAPES = [
    Shape(model, 128, precision=precision, threads=4)
    for precision in ("float32", "bfloat16")
    for model in ("mlp", "resnet32", "wrn_28_10")
]
ARMS = ("ce", "l2rw", "mw_net", "gce_learned")
STEPS, ROUNDS = 20, 7


def throughput(shape: Shape, device: torch.device, peak_tflops: float) -> list[Record]:
    """Images per second of each arm, and the share of the peak that its passes amount to."""
    found = []
    for arm in ARMS:
        trial = make_trial(shape, arm, device)
        step = Stepper(Case(arm), trial, shape.batch)
        warm_up(step, device)
        with FlopCounterMode(display=False) as counter:
            trial.training.network.evaluate([torch.zeros(1, 3, 32, 32, device=device)])
        seconds = seconds_of(step, STEPS, device)
        flops = counter.get_total_flops() * step.passes
        record: Record = {"model": shape.model, "precision": shape.precision, "arm": arm}
        record |= {"images_per_second": shape.batch / seconds, "seconds": seconds}
        record |= step.recording()
        if shape.precision == "bfloat16":  # whose peak it is
            record["share_of_peak"] = flops / seconds / peak_tflops / 1e12
        found.append(record)
    return found


def study(kind: str, images: Path) -> dict[str, Any]:
    """A study of five arms on JPEG CIFAR-10."""
    return {
        "about": f"JPEG CIFAR-10, 40 % {kind} noise, ResNet-32, 25 epochs",
        "protocol": {
            "data": {"source": "image_folder", "path": str(images.resolve())},
            "noise": {"kind": kind, "rate": 0.4},
            "splits": {"meta": 1000, "val": 1000},
            "augment": "crop_flip",
            "model": {"name": "resnet32"},
            "schedule": {"epochs": 25, "batch_size": 128, "lr": 0.1, "weight_decay": 5e-4},
            "precision": "bfloat16",
        },
        "request": {
            "arms": ["ce", "gce", "finetune", "l2rw", "mw_net"],
            "trials": 0,
            "repeats": 3,
            "seeds": 1,
            "curve": False,
        },
    }


def _once(file: Path, make: Callable[[], list[Record]]) -> list[Record]:
    """The records in the file; made and written where it is missing."""
    if not file.exists():
        records = make()
        file.write_text(json.dumps(records, indent=1))
    return json.loads(file.read_text())


def main(
    out: Path,
    images: Annotated[Path | None, typer.Option()] = None,
    peak_tflops: Annotated[float, typer.Option(help="of the device, dense bfloat16")] = 989.0,
    device: Annotated[str, typer.Option()] = "cuda",
) -> None:
    """Run what is missing in OUT."""
    out.mkdir(parents=True, exist_ok=True)
    here = torch.device(device)
    for shape in SHAPES:
        name = f"{shape.model}-{shape.precision}"
        records = _once(out / f"step-{name}.json", lambda s=shape: measure(s, here, ROUNDS))
        Console(width=120).print(table(records))
        rates = _once(out / f"rate-{name}.json", lambda s=shape: throughput(s, here, peak_tflops))
        typer.echo(json.dumps(rates))
        typer.echo(json.dumps(_once(out / f"gains-{name}.json", lambda s=shape: gains(s, here))))
        gc.collect()  # a stepper and its draws hold each other, and their recordings
    for kind in ("flip", "uniform") if images else ():
        assert images is not None
        file = out / f"cifar10_jpeg_{kind}.yaml"
        file.write_text(yaml.safe_dump(study(kind, images)))
        command = [sys.executable, "run_sweep.py", "launch", str(file.resolve())]
        command += ["--executor", "inline", "--wandb", "offline"]
        command += ["--storage", str((out / file.stem).resolve())]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    typer.run(main)
