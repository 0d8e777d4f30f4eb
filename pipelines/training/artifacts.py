"""What a final trial leaves beside its numbers: its model, and what it thought of each example."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from methods.objective import Objective
from pipelines.data.task import Task, prepare
from pipelines.study.method_loading import method_class, without_family
from pipelines.study.phase_rules import phase_length
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.trial_documents import EXAMPLES, MODEL


def artifacts(spec: TrainingSpec, state: dict[str, Any]) -> dict[str, bytes]:
    """Files of a final trial by name, from its last state.

    model.pt: the weights of the study's epoch rule, the objective that goes with them, and what is
    needed to use both. examples.pt: rows of the training split in the data set, with label as
    given, true label (-1: unknown), and loss and weight when last observed.
    """
    protocol = spec.protocol
    task = prepare(protocol, spec.data_seed)
    best = state["best"] if protocol.epoch == "selected" else None
    phase = spec.phases[best["phase"] if best else state["position"][0]]
    model = {
        "weights": _on_cpu(best["model"] if best else _evaluated(state)),
        "objective": _objective(phase, protocol, task, (best or state)["objective"]),
        "model": protocol.model.model_dump(),
        "networks": method_class(phase.method).networks,
        "input_shape": list(task.input_shape),
        "classes": task.classes,
        "mean": task.mean,
        "std": task.std,
        "conversion": task.conversion and task.conversion.state(),
        "encoding": task.encoding and asdict(task.encoding) | {"shape": [*task.encoding.shape]},
    }
    index = task.train.index
    examples = {
        "index": index,
        "label": task.train.y,
        "truth": task.train.truth,
        "loss": state["example_losses"].cpu()[index],
        "weight": state["example_weights"].cpu()[index],
    }
    return {MODEL: _bytes(model), EXAMPLES: _bytes(examples)}


def _evaluated(state: dict[str, Any]) -> dict[str, Tensor]:
    """The weights that the last evaluation saw: their average, where the phase has one."""
    average = state["average"]
    return state["model"] | (average["weights"] if average else {})


def _objective(
    phase: Phase, protocol: Protocol, task: Task, state: dict[str, Tensor]
) -> dict[str, Any]:
    """What `load_objective` needs: the class, its hyperparameters and its state.

    And the labels [N] of its pool (-1: not in it), where `bind` looks at them.
    """
    labels = None
    if method_class(phase.method).bind is not Objective.bind:
        pool = task.pool(phase.pool)
        labels = torch.full((task.description["examples"],), -1, dtype=torch.int32)
        labels[pool.index] = pool.y.int()
    return {
        "method": without_family(phase.method),
        "hyperparameters": phase.hyperparameters,
        "state": _on_cpu(state),
        "labels": labels,
        "epochs": phase_length(phase, protocol, task.sizes).epochs,
    }


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in state.items()}


def _bytes(value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()
