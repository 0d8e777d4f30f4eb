"""What a final trial leaves beside its numbers: a model that can be loaded, and what it thought of
each example."""

from __future__ import annotations

import io
from typing import Any

import torch

from pipelines.data.task import prepare
from pipelines.study.training_spec import TrainingSpec
from pipelines.trial_documents import EXAMPLES, MODEL


def artifacts(spec: TrainingSpec, state: dict[str, Any]) -> dict[str, bytes]:
    """Files of a final trial by name, from its last state.

    model.pt: the weights of the study's epoch rule, and what is needed to use them. examples.pt:
    rows of the training split in the data set, with label as given, true label (-1: unknown), and
    loss and weight when last observed.
    """
    protocol = spec.protocol
    task = prepare(protocol, spec.data_seed)
    best = state["best"] if protocol.epoch == "selected" else None
    model = {
        "weights": {n: w.cpu() for n, w in (best or state)["model"].items()},
        "model": protocol.model.model_dump(),
        "input_shape": list(task.input_shape),
        "classes": task.classes,
        "mean": task.mean,
        "std": task.std,
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


def _bytes(value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()
