"""The seam of what is no network: a model that is fitted as a whole, in place of the study's."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy

ABSENT = -30.0  # log-probability of a class that no example had


class Fitted(Objective):
    """Minimises cross-entropy by a solver of its own, on a model of its own.

    Nothing of it has steps, epochs or passes: `fit` is called once. What it gives is evaluated,
    saved and used as any network is.
    """

    #: The most features that it is fitted on in a time that a comparison has.
    most_features: ClassVar[int] = 10_000

    @abstractmethod
    def fit(self, x: Tensor, y: Tensor, weights: Tensor, classes: int, seed: int) -> nn.Module:
        """The model: inputs [B, ...] -> logits [B, K].

        x [n, D] float32, mean 0 and deviation 1; y [n] labels of two classes at least; weights [n]
        of mean 1; classes: K; seed: the source of all randomness, in [0, 2^32).
        """

    @staticmethod
    @abstractmethod
    def fitted(tensors: Mapping[str, Tensor]) -> nn.Module:
        """The same model again, of the tensors of its state."""

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)


def at_least(lowest: float, **values: float) -> None:
    """Are hyperparameters large enough?

    Raises:
        ValueError: one is not.
    """
    for name, value in values.items():
        if not value >= lowest:
            raise ValueError(f"{name} = {value!r}: must be at least {lowest:g}")


def class_weights(y: Tensor, classes: int, balanced: bool) -> Tensor:
    """Weights [n] in float64, mean 1, of labels y [n]: all alike, or in proportion to 1 / n_y."""
    if not balanced:
        return torch.ones(len(y), dtype=torch.double)
    counts = y.bincount(minlength=classes)
    return len(y) / ((counts > 0).sum() * counts[y]).double()


def in_columns(scores: Tensor, present: Tensor, classes: int) -> Tensor:
    """Logits [B, classes] of scores [B, len(present)], whose columns are those classes.

    With one column they are the log-odds of the second of two.
    """
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
    if len(present) == classes:
        return scores
    logits = scores.new_full((len(scores), classes), ABSENT)
    return logits.index_copy(1, present, scores.log_softmax(dim=1))
