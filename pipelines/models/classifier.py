"""A trained model and the objective it was trained with, to load and use."""

from __future__ import annotations

import math
import pickle
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from methods.fitted import Fitted
from methods.objective import Objective, PhaseInfo
from pipelines import own_modules
from pipelines.documents import Json, decode
from pipelines.errors import UserError, one_line
from pipelines.models.build import build
from pipelines.models.heads import Ensemble, feature_width
from pipelines.study.method_loading import build_method, importable, method_class
from pipelines.study.protocol import Model


class Classifier(nn.Module):
    """A trained network with its normalisation: stored values x [B, ...] -> logits [B, K].

    Of images these are bytes, 0 to 255 as decoded: integers, or floats on that same scale (for
    gradients in them). Floats in [0, 1], or normalised already, would give other predictions
    without a word, and are refused. Of tables they are the features. `classes` names the K classes.
    """

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor, classes: list[str]) -> None:
        super().__init__()
        self.network, self.classes = network, classes
        self.mean, self.std = nn.Buffer(mean), nn.Buffer(std)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of stored values; of two networks, those of their mean probabilities.

        Raises:
            UserError: x are images on another scale.
        """
        self.check_scale(x)
        logits = self.network(self.normalise(x))
        if isinstance(self.network, Ensemble):
            return logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits.shape[1])
        return logits

    def normalise(self, x: Tensor) -> Tensor:
        """Stored values x [B, ...] as the network takes them."""
        return (x.float() - self.mean) / self.std

    def check_scale(self, x: Tensor) -> None:
        """Are stored values on the scale of bytes, where they are images?

        Raises:
            UserError: they are not.
        """
        if self.mean.dim() != 3 or x.dtype == torch.uint8:
            return
        if torch.compiler.is_compiling() or not x.numel():
            return  # a graph cannot ask for values
        low, high = (value.item() for value in x.detach().aminmax())
        stored = 0 <= low <= high <= 255  # false of NaN, too
        dark = max(self.mean.max(), self.std.max()) <= 1  # as of bytes that are all 0 or 1
        if stored and (high > 1 or high == 0 or dark):
            return
        advice = "; were they divided by 255?" * (stored and not dark)
        raise UserError(
            f"images from {low:g} to {high:g} ({str(x.dtype).removeprefix('torch.')}): the model "
            f"takes them as they are stored, bytes from 0 to 255{advice}"
        )


def load_model(file: str | Path | BinaryIO) -> Classifier:
    """The classifier in a trial's model.pt, in eval mode, on the CPU."""
    saved = read_model(file)
    return Classifier(network_of(saved), saved["mean"], saved["std"], saved["classes"]).eval()


def load_objective(file: str | Path | BinaryIO) -> Objective:
    """The objective that the classifier in a trial's model.pt was trained with, on the CPU.

    With what it had learned when the classifier's weights were taken.

    Raises:
        UserError: the file was written before objectives were saved, or the class is not there.
    """
    saved = read_model(file)
    if saved.get("objective") is None:
        name = f"{str(file)!r}: it" if isinstance(file, str | Path) else "the file"
        raise UserError(f"{name} was written by a version that saved no objective with the model")
    return objective_of(saved)


def objective_of(saved: Json) -> Objective:
    """The objective in the content of a model.pt, which has one."""
    stored = saved["objective"]
    objective = build_method(importable(stored["method"]), stored["hyperparameters"])
    if stored["labels"] is not None:
        objective.bind(_phase_info(saved, needs_features=objective.needs_features))
    objective.load_state_dict(stored["state"])
    return objective


def network_of(saved: Json) -> nn.Module:
    """The trained network in the content of a model.pt, or the model that was fitted."""
    if stored := saved.get("objective"):
        method = method_class(importable(stored["method"]))
        if issubclass(method, Fitted):
            return method.fitted(saved["weights"])
    network = _network(saved)
    network.load_state_dict(saved["weights"])
    return network


def _network(saved: Json) -> nn.Module:
    model, shape = Model(**saved["model"]), tuple(saved["input_shape"])
    members = [
        build(model, shape, len(saved["classes"]), weights=False)
        for _ in range(saved.get("networks", 1))
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def _phase_info(saved: Json, needs_features: bool) -> PhaseInfo:
    labels, classes = saved["objective"]["labels"].long(), len(saved["classes"])
    return PhaseInfo(
        rows=len(labels),
        classes=classes,
        labels=labels,
        counts=torch.bincount(labels[labels >= 0], minlength=classes),
        features=feature_width(_network(saved)) if needs_features else 0,
        epochs=saved["objective"].get("epochs", 1),
    )


def read_model(file: str | Path | BinaryIO) -> Json:
    """The content of a model.pt; the study's own modules are from now on found where it has them.

    Raises:
        UserError: it is none, or damaged.
    """
    if isinstance(file, str | Path):
        with suppress(IndexError, OSError):  # it need not lie in a study's directory
            folder = Path(file).resolve().parents[4]
            request = decode((folder / "request.json").read_bytes(), "request.json") or {}
            own_modules.search(request.get("modules", {}).values())
    try:
        return torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        name = repr(str(file)) if isinstance(file, str | Path) else "the file"
        raise UserError(
            f"{name} is no trial's model, or a damaged one: {one_line(error)}"
        ) from None
