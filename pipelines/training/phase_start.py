"""What a phase's objective is given before it trains: facts, outputs, and what came before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch

from methods.objective import Objective, PhaseInfo, Pool, PoolOutputs, Predict
from pipelines.data.task import Task
from pipelines.errors import UserError
from pipelines.models.heads import feature_width
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.study.method_loading import method_class
from pipelines.study.phase_rules import phase_length, phase_schedule
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.training.attack import threat_of
from pipelines.trial_documents import HistoryRow


def phase_info(
    objective: Objective, phase: Phase, protocol: Protocol, task: Task, model: torch.nn.Module
) -> PhaseInfo:
    """What the objective of a phase may know.

    Raises:
        UserError: the data does not tell what it asks for.
    """
    check_data(objective, phase, task)
    pool = task.pool(phase.pool)
    labels = torch.full((task.description["examples"],), -1, device=pool.y.device)
    labels[pool.index] = pool.y
    return PhaseInfo(
        rows=len(labels),
        classes=len(task.classes),
        labels=labels,
        counts=torch.bincount(pool.y[pool.y >= 0], minlength=len(task.classes)),
        features=feature_width(model) if objective.needs_features else 0,
        epochs=phase_length(phase, protocol, task.sizes).epochs,
        threat=threat_of(protocol, task),
        truth=_truth(task, phase) if objective.oracle else None,
        inputs=_inputs(task, phase) if objective.needs_inputs else None,
        input_shape=task.input_shape,
        batch_size=phase_schedule(phase, protocol).batch_size,
    )


def check_data(objective: Objective, phase: Phase, task: Task) -> None:
    """Has the data what the objective of a phase asks to know of it?

    Raises:
        UserError: it has not.
    """
    if objective.needs_inputs and len(task.input_shape) > 1:
        raise UserError(
            f"{phase.method} needs inputs that are vectors, of a table or embeddings: here they "
            f"are images {list(task.input_shape)}"
        )
    if objective.oracle:
        _check_truth(phase, task)


def _check_truth(phase: Phase, task: Task) -> None:
    pool, noise = task.pool(phase.pool), task.description["noise"]
    reads = f"{phase.method} reads the true labels of training examples, as an oracle"
    if unknown := int(((pool.y >= 0) & (pool.truth < 0)).sum()):
        raise UserError(f"{reads}: of {unknown:,} of {len(pool):,} they are not known")
    if noise["kind"] == "none" and not noise["measured"]["train"]:
        raise UserError(f"{reads}: the data says of none that its label is wrong")


def _truth(task: Task, phase: Phase) -> torch.Tensor:
    """True labels [N] of a phase's pool by row, -1 outside of it."""
    pool = task.pool(phase.pool)
    truth = torch.full((task.description["examples"],), -1, device=pool.truth.device)
    truth[pool.index] = pool.truth
    return truth


def _inputs(task: Task, phase: Phase) -> Callable[[torch.Tensor], torch.Tensor]:
    """From rows of a phase's pool to their normalised inputs."""
    pool = task.pool(phase.pool)
    places = torch.zeros(task.description["examples"], dtype=torch.long, device=pool.x.device)
    places[pool.index] = torch.arange(len(pool), device=pool.x.device)
    return lambda rows: task.normalise(pool.x[places[rows]])


def predictor(
    network: Network,
    task: Task,
    own: Pool,
    method: str,
    as_evaluated: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Predict:
    """What gives the network's outputs in eval mode on a pool's examples; by default on `own`.

    method: which asks; as_evaluated: the network has the weights inside that predict.

    Raises:
        UserError: of what is returned: it asks for clean examples that nobody would have counted.
    """
    allowed = {"train", *own.split("+")}
    if method_class(method).reads_clean:
        allowed.add("meta")

    def predict(pool: Pool | None = None) -> PoolOutputs:
        if pool and (hidden := set(pool.split("+")) - allowed):
            raise UserError(
                f"method {method}: predictions on {min(hidden)} are not for its pool, {own}"
                + "; reads_clean = True counts the clean labels" * (hidden == {"meta"})
            )
        split = task.pool(pool or own)
        with as_evaluated():
            outputs = network.evaluate(map(task.normalise, split.x.split(EVALUATION_BATCH)))
        return PoolOutputs(outputs, split.index, split.y, split.trusted)

    return predict


def learned_path(history: Iterable[HistoryRow], phase: str) -> dict[str, torch.Tensor]:
    """What the objective of a phase had learned at the end of each epoch: [epochs, ...] by name."""
    rows = [row for row in history if row["phase"] == phase]
    names = {name for row in rows for name in row if name.startswith("learned/")}
    return {
        name.removeprefix("learned/"): torch.tensor([row[name] for row in rows if name in row])
        for name in sorted(names)
    }
