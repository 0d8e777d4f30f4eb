"""A trained model, to load and use."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from pipelines.models.zoo import build
from pipelines.study.protocol import Model


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
