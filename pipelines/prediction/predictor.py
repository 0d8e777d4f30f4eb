"""A classifier that takes inputs as people have them, and names the classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Objective
from pipelines.data.conversion import Conversion
from pipelines.data.dataset import Encoding
from pipelines.models.classifier import Classifier, network_of, objective_of, read_model
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.prediction.inputs import encoded_inputs, images, rows
from pipelines.study.method_loading import importable, method_class


class Predictor(Classifier):
    """A trained model: `predict` names classes, `probabilities` has one for each.

    Called itself, it maps stored values x [B, ...] to logits [B, K], as any `Classifier`.
    input_shape: of one example, as the network takes it. objective: which makes probabilities of
    outputs; none: their softmax. conversion: of a table's columns; encoding: of texts or images.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Tensor,
        std: Tensor,
        classes: list[str],
        input_shape: tuple[int, ...],
        objective: Objective | None = None,
        conversion: Conversion | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__(network, mean, std, classes)
        self.input_shape, self.conversion, self.encoding = input_shape, conversion, encoding
        self._objective = (objective or CrossEntropy(),)  # in a tuple: not among its parameters

    @property
    def objective(self) -> Objective:
        """What makes probabilities of the network's outputs."""
        return self._objective[0]

    def predict(self, inputs: Any) -> list[str]:
        """The most probable class of each example, by name.

        inputs: of images one or a list of: a path, an image of Pillow's, an array of bytes [H, W],
        [C, H, W] or [H, W, C]; or an array [N, ...]. Whatever its size, an image becomes what the
        training images were. Of a table a DataFrame, or a .csv or .parquet file, with the columns
        of the training table; or an array [n, D] where all were numbers. Of texts one, or a list.

        Raises:
            UserError: they are none of these, or images on another scale than bytes: floats in
                [0, 1] are refused.
        """
        return [self.classes[k] for k in self.probabilities(inputs).argmax(axis=1)]

    def probabilities(self, inputs: Any) -> NDArray[np.float32]:
        """Class probabilities [n, K]; inputs as of `predict`, from which it raises the same."""
        return self.of_stored(self.stored(inputs)).cpu().numpy()

    def stored(self, inputs: Any) -> Tensor:
        """Inputs as a data set stores them, [n, ...]."""
        if self.encoding:
            return encoded_inputs(inputs, self.encoding)
        match self.input_shape:
            case (channels, height, width):
                return images(inputs, (channels, height, width), self.check_scale)
            case (features,):
                return rows(inputs, self.conversion, features)
        raise AssertionError(self.input_shape)

    @torch.no_grad()
    def of_stored(self, x: Tensor) -> Tensor:
        """Class probabilities [n, K] of stored values [n, ...], as a trial computes them."""
        network, training = Network(self.network), self.network.training
        try:
            batches = x.to(self.mean.device).split(EVALUATION_BATCH)
            return self.objective.predict(network.evaluate(map(self.normalise, batches)))
        finally:
            network.close()
            self.network.train(training)


def load_predictor(file: str | Path | BinaryIO) -> Predictor:
    """The model in a trial's model.pt, in eval mode, on the CPU.

    Raises:
        UserError: it is none.
    """
    saved = read_model(file)
    stored, conversion, encoding = map(saved.get, ("objective", "conversion", "encoding"))
    own = stored and method_class(importable(stored["method"])).predict is not Objective.predict
    return Predictor(
        network_of(saved),
        saved["mean"],
        saved["std"],
        saved["classes"],
        tuple(saved["input_shape"]),
        objective_of(saved) if own else None,
        Conversion.from_state(conversion) if conversion else None,
        Encoding(encoding["encoder"], tuple(encoding["shape"])) if encoding else None,
    ).eval()
