"""Why L2RW's steps are too long: what its weights do to a step, on any study.

    python -m benchmarks.weight_steps STUDY [--every 10] [--json FILE]

Trains L2RW and its safe variants as the study says. At every so-manieth step it compares, on the
same batch and at the same parameters, the gradient that the weights give with plain
cross-entropy's: its length in units of that; its cosine to the step that the model then takes, with
momentum; the share of the batch that carries the weight, (sum w)^2 / (B sum w^2), and what the
weights sum to. Medians over the thirds of the run, and mean recall on val at its end.
"""

from __future__ import annotations

import copy
import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from methods.objective import Batch, cross_entropy
from pipelines.models.network import Network
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import load_study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.example_weights import effective_share
from pipelines.training.trial import TrainingRun

METHOD = "methods.meta.learning_to_reweight:LearningToReweight"
VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "damped": {"scale": "damped"},
    "at most 3/B": {"cap": 3.0},
    "at most 1/B": {"cap": 1.0},
    "matched": {"scale": "matched"},
}
NAMES = ("length", "cosine", "share", "sum")
THIRDS = ("beginning", "middle", "end")
Measures = tuple[float, float, float, float]


def measure(protocol: Protocol, hyperparameters: dict[str, Any], every: int) -> dict[str, Any]:
    """The measures of one training run, by third of it, and its mean recall on val at the end."""
    phase = Phase.model_validate({"method": METHOD, "hyperparameters": hyperparameters})
    run = TrainingRun(TrainingSpec(protocol, (phase,), 0, 0), torch.device("cpu"))
    training, seen = run.training, []
    for epoch in range(protocol.schedule.epochs):
        for step, step_inputs in enumerate(training.epoch_inputs(epoch)):
            number = epoch * training.length.per_epoch + step
            before = copy.deepcopy(training.network.model) if number % every == 0 else None
            output, _ = training.step(step_inputs, epoch, step)
            if before is not None:
                weights: Any = training.objective.weights
                seen.append(_measures(before, training.network.model, output.batch, weights))
    third = max(1, len(seen) // 3)
    parts = (seen[:third], seen[third : 2 * third], seen[2 * third :])
    measures = {
        name: dict(zip(NAMES, map(statistics.median, zip(*part, strict=True)), strict=True))
        for name, part in zip(THIRDS, parts, strict=True)
    }
    val = run.evaluator.epoch(training.network, run.objective, 1, 0)
    return measures | {"val": val["val/balanced_accuracy"]}


def _measures(before: nn.Module, after: nn.Module, batch: Batch, weights: Tensor) -> Measures:
    losses = cross_entropy(Network(before)(batch.x).logits, batch.y)
    parameters = list(before.parameters())
    plain = _flat(torch.autograd.grad(losses.mean(), parameters, retain_graph=True))
    weighted = _flat(torch.autograd.grad((weights * losses).sum(), parameters))
    step = _flat(after.parameters()) - _flat(parameters)
    cosine = torch.nn.functional.cosine_similarity(-weighted, step, dim=0)
    length = (weighted.norm() / plain.norm()).item()
    return length, cosine.item(), effective_share(weights), weights.sum().item()


def _flat(tensors: Any) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def main(
    study: str,
    every: Annotated[int, typer.Option(min=1)] = 10,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the table, and write the measures."""
    protocol = load_study(study).protocol
    measured = {name: measure(protocol, given, every) for name, given in VARIANTS.items()}
    table = Table("weights", "third", *NAMES, "val recall, %")
    for name, of_run in measured.items():
        for third in THIRDS:
            cells = [f"{value:.2f}" for value in of_run[third].values()]
            last = f"{100 * of_run['val']:.1f}" if third == THIRDS[-1] else ""
            table.add_row(name if third == THIRDS[0] else "", third, *cells, last)
    Console().print(table)
    if file:
        file.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    typer.run(main)
