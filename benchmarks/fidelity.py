"""Is what trains here what the papers say? Against independent loops, in float64.

    python -m benchmarks.fidelity [--json FILE]

The same network with BatchNorm, from the same weights, sees the same batches of digits with 40 %
flipped labels through this project's training loop and through the loops of `reference_loops`,
which are written from the papers and take every derivative by double backward. Printed are
relative errors of losses, of the hypergradient of the first step, of L2RW's weights, and of the
model, the meta-parameters and BatchNorm's statistics after 1, 5 and 20 steps.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import reference_loops as reference
from methods.losses.cross_entropy import CrossEntropy
from methods.losses.focal import Focal
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.objective import Batch, Objective, Outputs
from pipelines.data.task import prepare
from pipelines.study.arms import resolve_arm
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.fast_paths import FastPaths
from pipelines.training.phase import PhaseTraining
from pipelines.training.trial import TrainingRun

STEPS = (1, 5, 20)
LR, MOMENTUM, DECAY = 2**-4, 0.9, 5e-4  # float32 holds the rate exactly
PROTOCOL: dict[str, Any] = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 100, "val": 100, "test": 500},
    "model": {"name": "cnn", "options": {"width": 8}},
    "schedule": {"epochs": 2, "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY}
    | {"decay": "constant", "batch_size": 50},
}
Errors = dict[str, float]


def weight_network(phi: list[Tensor], losses: Tensor) -> Tensor:
    """Meta-Weight-Net's V of losses [B]: 1 - hidden - 1, ReLU, sigmoid."""
    first, first_bias, last, last_bias = phi
    hidden = torch.relu(losses.detach()[:, None] @ first.T + first_bias)
    return torch.sigmoid(hidden @ last.T + last_bias).squeeze(1)


def weighted(logits: Tensor, labels: Tensor, phi: list[Tensor]) -> Tensor:
    """The later code's: V(l) l."""
    losses = reference.negative_log_likelihood(logits, labels)
    return weight_network(phi, losses) * losses


def normalised(logits: Tensor, labels: Tensor, phi: list[Tensor]) -> Tensor:
    """The 2019 code's: V(l) l over the batch's sum of V(l), times B for the mean to be taken."""
    losses = reference.negative_log_likelihood(logits, labels)
    weights = weight_network(phi, losses)
    return len(losses) * weights / weights.sum() * losses


def learned_lq(logits: Tensor, labels: Tensor, phi: list[Tensor]) -> Tensor:
    """L_q with q = 0.01 + 0.99 sigmoid(phi)."""
    return reference.lq(logits, labels, 0.01 + 0.99 / (1 + torch.exp(-phi[0])))


def learned_sce(logits: Tensor, labels: Tensor, phi: list[Tensor]) -> Tensor:
    """SCE with alpha and beta = 20 sigmoid(phi)."""
    alpha, beta = (20 / (1 + torch.exp(-value)) for value in phi)
    return reference.sce(logits, labels, alpha, beta)


@dataclass(frozen=True)
class Case:
    """An arm, and the loop that it is measured by.

    meta: changes of the arm's phase; far: look-ahead at lr / (1 - momentum).
    """

    arm: str
    losses: reference.Losses
    optimizer: Callable[[], reference.Momentum | reference.Adam]
    meta: dict[str, Any]
    far: bool = False


def adam() -> reference.Adam:
    """Of the later code of Meta-Weight-Net."""
    return reference.Adam(1e-3, weight_decay=1e-4)


def nesterov() -> reference.Momentum:
    """Of its 2019 code."""
    return reference.Momentum(1e-3, 0.9, 5e-4, nesterov=True)


CASES = {
    "l2rw": Case("l2rw", weighted, adam, {}),
    "mw_net": Case("mw_net", normalised, adam, {}),
    "mw_net_2019": Case("mw_net_2019", normalised, nesterov, {}),
    "mw_net_code": Case("mw_net_code", weighted, adam, {}),
    "mw_net, amsgrad, long look-ahead": Case(
        "mw_net_code",
        weighted,
        lambda: reference.Adam(1e-3, 1e-4, amsgrad=True),
        {"amsgrad": True, "lookahead_rate": "momentum"},
        far=True,
    ),
    "gce_learned": Case("gce_learned", learned_lq, lambda: reference.Adam(1e-2), {}),
    "sce_learned": Case("sce_learned", learned_sce, lambda: reference.Adam(1e-2), {}),
}


def our_training(case: Case) -> PhaseTraining:
    """This project's training of the case's arm, in float64."""
    protocol = Protocol.model_validate(PROTOCOL)
    [phase] = resolve_arm(case.arm, {}).resolve({})
    meta = phase.meta.model_copy(update=case.meta)
    phases = (phase.model_copy(update={"meta": meta}),)
    task = prepare(protocol, 0)
    task = replace(task, mean=task.mean.double(), std=task.std.double())
    fast = FastPaths.without(["channels_last", "cuda_graph", "fused", "gather"])
    spec = TrainingSpec(protocol, phases, data_seed=0, run_seed=0)
    training = TrainingRun(spec, torch.device("cpu"), fast, task).training
    training.network.model.double()
    training.objective.double()
    training.batches.one_hot = training.batches.one_hot.double()
    return training


def reference_loop(case: Case, training: PhaseTraining) -> reference.Loop:
    """The independent loop, from where the training stands."""
    kind = reference.Reweighting if case.arm == "l2rw" else reference.Loop
    phi = []
    if case.arm != "l2rw":
        phi = [p.detach().clone().requires_grad_() for p in training.objective.meta_parameters()]
    return kind(
        copy.deepcopy(training.network.model),
        case.losses,
        phi,
        reference.Momentum(LR, MOMENTUM, DECAY, nesterov=False),
        case.optimizer(),
        LR / (1 - MOMENTUM) if case.far else LR,
    )


def compare(case: Case, steps: Sequence[int] = STEPS) -> Errors:
    """Relative errors after so many steps."""
    training = our_training(case)
    loop = reference_loop(case, training)
    taken: list[list[Tensor]] = []
    move = training.objective.meta_step

    def watched(grads: Sequence[Tensor], optimizer: torch.optim.Optimizer | None) -> None:
        taken.append([g.detach().clone() for g in grads])
        move(grads, optimizer)

    training.objective.meta_step = watched  # pyright: ignore[reportAttributeAccessIssue]
    errors: Errors = {}
    inputs = [(e, i, s) for e in (0, 1) for i, s in enumerate(training.epoch_inputs(e))]
    for number, (epoch, index, step_inputs) in enumerate(inputs[: max(steps)], 1):
        batch, clean = (
            training.batches.training(step_inputs, ()),
            training.batches.clean_loss(step_inputs, ()),
        )
        hypergradient = loop.step((batch.x, batch.y.argmax(1), clean[0], clean[1].argmax(1)))
        training.step(step_inputs, epoch, index)
        if number == 1:
            errors["hypergradient"] = relative(taken[0], hypergradient)
            if isinstance(loop, reference.Reweighting):
                weights: Any = training.objective.weights
                errors["weights"] = relative([weights], [loop.weights])
        if number in steps:
            errors[f"{number} step" + "s" * (number > 1)] = _distance(training, loop)
    return errors


def _distance(training: PhaseTraining, loop: reference.Loop) -> float:
    """The largest relative error of the model's parameters, of its buffers and of phi."""
    ours, theirs = training.network.model, loop.model
    pairs = [
        ([*ours.parameters()], [*theirs.parameters()]),
        (_floats(ours.buffers()), _floats(theirs.buffers())),
    ]
    if loop.phi:
        pairs.append(([*training.objective.meta_parameters()], loop.phi))
    return max(relative(one, other) for one, other in pairs)


def _floats(tensors: Any) -> list[Tensor]:
    return [t for t in tensors if t.is_floating_point()]


def relative(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """|ours - theirs| / |theirs| of all of them together."""
    one, other = (torch.cat([t.detach().flatten() for t in ts]) for ts in (ours, theirs))
    return ((one - other).norm() / other.norm()).item()


LOSSES: dict[str, tuple[Objective, Callable[[Tensor, Tensor], Tensor]]] = {
    "cross-entropy": (CrossEntropy(), reference.negative_log_likelihood),
    "label smoothing 0.1": (CrossEntropy(0.1), lambda z, y: reference.smoothed(z, y, 0.1)),
    "L_q, q = 0.7": (GeneralizedCrossEntropy(0.7), lambda z, y: reference.lq(z, y, 0.7)),
    "SCE, 0.1 and 1": (SymmetricCrossEntropy(), lambda z, y: reference.sce(z, y, 0.1, 1.0)),
    "focal, gamma = 2": (Focal(2.0), lambda z, y: reference.focal(z, y, 2.0)),
}


def compare_loss(name: str) -> Errors:
    """Relative errors of a loss's values and gradients on random logits."""
    objective, formula = LOSSES[name]
    random = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(200, 10, generator=random, dtype=torch.float64)
    labels = torch.randint(10, (200,), generator=random)
    y = torch.nn.functional.one_hot(labels, 10).double()
    flags = torch.zeros(200, dtype=torch.bool)
    z.requires_grad_()
    batch = Batch(z, y, torch.arange(200), flags, (0,), torch.tensor(0.0))
    ours = objective(Outputs(z), objective.before_step(batch, lambda x: Outputs(z)))
    theirs = formula(z, labels)
    slopes = [torch.autograd.grad(losses.sum(), [z])[0] for losses in (ours, theirs)]
    return {"losses": relative([ours], [theirs]), "gradients": relative([slopes[0]], [slopes[1]])}


def main(file: Annotated[Path | None, typer.Option("--json")] = None) -> None:
    """Print the errors, and write them."""
    losses = {name: compare_loss(name) for name in LOSSES}
    steps = {name: compare(case) for name, case in CASES.items()}
    for title, errors in (("loss", losses), ("arm", steps)):
        names = list(dict.fromkeys(name for row in errors.values() for name in row))
        table = Table(title, *names)
        for name, row in errors.items():
            table.add_row(name, *(f"{row[n]:.0e}" if n in row else "" for n in names))
        Console().print(table)
    if file:
        file.write_text(json.dumps(losses | steps, indent=1))


if __name__ == "__main__":
    typer.run(main)
