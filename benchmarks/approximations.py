"""How far each cheaper hypergradient is from the exact one, on a small network in training.

    python -m benchmarks.approximations [--json FILE]

A convolutional network with BatchNorm learns digits with 40 % flipped labels by L2RW and by
Meta-Weight-Net. At every tenth step each option's hypergradient, in float32, is compared with that
of the full meta batch by double backward in float64: relative error, cosine, and share of entries
whose sign differs (which in L2RW decides who has weight). Medians over the steps.
"""

from __future__ import annotations

import copy
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from methods.objective import Batch
from pipelines.hypergradient.meta_step import Clean, MetaLearner
from pipelines.models.network import Network
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import Meta
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.phase import PhaseTraining
from pipelines.training.trial import TrainingRun

OPTIONS: list[dict[str, Any]] = [
    {"engine": "forward"},
    {"engine": "finite_difference"},
    {"engine": "one_sided_difference"},
    {"batch_size": 50},
    {"batch_size": 25},
    {"last_layers": 1},
    {"last_layers": 3},
]
EPOCHS, EVERY = 6, 10
PROTOCOL = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 100, "val": 100, "test": 500},
    "model": {"name": "cnn"},
    "schedule": {"epochs": EPOCHS, "lr": 0.05},
}
Record = dict[str, Any]


def gradient(
    training: PhaseTraining,
    batch: Batch,
    clean: Clean,
    how: Record,
    dtype: torch.dtype,
    autocast: bool = False,
) -> Tensor:
    """The hypergradient [P] in that precision, on copies: training is left as it is."""
    network = Network(copy.deepcopy(training.network.model).to(dtype), autocast=autocast)
    objective = copy.deepcopy(training.objective).to(dtype)
    batch = replace(batch, x=batch.x.to(dtype), y=batch.y.to(dtype))
    batch = objective.before_step(batch, network.without_buffer_updates)
    x, y = (part[: how.get("batch_size")].to(dtype) for part in clean)
    learner = MetaLearner(objective, network, Meta.model_validate(how))
    return torch.cat([g.flatten() for g in learner.gradients(batch, (x, y), 0.05)]).double()


def measure(arm: str) -> list[Record]:
    """Each option of that arm, over the steps of a training run."""
    phases = tuple(resolve_arm(arm, {}).resolve({}))
    spec = TrainingSpec(Protocol.model_validate(PROTOCOL), phases, data_seed=0, run_seed=0)
    training = TrainingRun(spec, torch.device("cpu")).training
    found: list[list[tuple[float, ...]]] = [[] for _ in OPTIONS]
    for epoch in range(EPOCHS):
        for step, step_inputs in enumerate(training.epoch_inputs(epoch)):
            if step % EVERY == EVERY - 1:
                at = (
                    training,
                    training.batches.training(step_inputs, ()),
                    training.batches.clean_loss(step_inputs, ()),
                )
                exact = gradient(*at, {"engine": "double_backward"}, torch.float64)
                for option, columns in zip(OPTIONS, found, strict=True):
                    columns.append(errors(gradient(*at, option, torch.float32), exact))
            training.step(step_inputs, epoch, step)
    names = ("relative_error", "cosine", "signs_differ")
    return [
        {"arm": arm, **option}
        | {
            name: statistics.median(column)
            for name, column in zip(names, zip(*columns, strict=True), strict=True)
        }
        for option, columns in zip(OPTIONS, found, strict=True)
    ]


def errors(found: Tensor, exact: Tensor) -> tuple[float, float, float]:
    """Relative error, cosine, and share of signs that differ."""
    error = (found - exact).norm() / exact.norm()
    cosine = torch.nn.functional.cosine_similarity(found, exact, dim=0)
    signs = (found.sign() != exact.sign()).double().mean()
    return error.item(), cosine.item(), signs.item()


def main(file: Annotated[Path | None, typer.Option("--json")] = None) -> None:
    """Print the table, and write the records."""
    records = [record for arm in ("l2rw", "mw_net") for record in measure(arm)]
    table = Table("arm", "option", "relative error", "cosine", "signs that differ")
    for r in records:
        option = next(f"{k} {v}" for k, v in r.items() if k in Meta.model_fields)
        table.add_row(
            r["arm"],
            option,
            f"{r['relative_error']:.2g}",
            f"{r['cosine']:.4f}",
            f"{r['signs_differ']:.1%}",
        )
    Console().print(table)
    if file:
        file.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    typer.run(main)
