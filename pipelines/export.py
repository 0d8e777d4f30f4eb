"""What a final trial leaves beside its numbers: a model that can be loaded, and what it thought of
each example."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from pipelines.data import prepare
from pipelines.models import build
from pipelines.study import Model, Protocol, varied

MODEL, EXAMPLES = "model.pt", "examples.pt"


class Classifier(nn.Module):
    """A trained network with its normalisation: stored values x [B, ...] -> logits [B, K];
    `classes` names them."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor, classes: list[str]) -> None:
        super().__init__()
        self.network, self.classes = network, classes
        self.mean, self.std = nn.Buffer(mean), nn.Buffer(std)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of stored values."""
        return self.network((x.float() - self.mean) / self.std)


def load_model(file: str | Path | BinaryIO) -> Classifier:
    """The classifier in a trial's model.pt, in eval mode, on the CPU."""
    saved = torch.load(file, weights_only=True, map_location="cpu")
    network = build(Model(**saved["model"]), tuple(saved["input_shape"]), len(saved["classes"]))
    network.load_state_dict(saved["weights"])
    return Classifier(network, saved["mean"], saved["std"], saved["classes"]).eval()


def artifacts(spec: dict[str, Any], protocol: Protocol, state: dict[str, Any]) -> dict[str, bytes]:
    """Files of a final trial by name, from its last state.

    model.pt: the weights of the study's epoch rule, and what is needed to use them. examples.pt:
    rows of the training split in the data set, with label as given, true label (-1: unknown), and
    loss and weight when last observed.
    """
    protocol = varied(protocol, spec["change"])
    task = prepare(protocol, spec["data_seed"])
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
