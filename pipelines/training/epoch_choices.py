"""What is chosen between epochs and holds while one lasts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from methods.objective import Key, Objective, Predict, generator
from pipelines.training.clean_examples import CleanExamples


class EpochChoices:
    """The examples of an epoch: all of a pool in turn, or drawn with a method's own weights.

    An epoch that is resumed has them from its snapshot: the model has moved since it began.
    clean: examples of the clean loss; None: nothing learns from one.
    """

    def __init__(self, objective: Objective, predict: Predict, clean: CleanExamples | None) -> None:
        self._objective, self._predict, self._clean = objective, predict, clean
        self._weights: Tensor | None = None  # [N] by row of the data set

    @torch.no_grad()
    def begin(self, epoch: int) -> int:
        """Choose, once for each epoch; the passes that the choice of clean examples took."""
        weights = self._objective.begin_epoch(epoch, self._predict)
        self._weights = None if weights is None else weights.clone()  # the method's own may change
        return self._clean.choose(self._predict) if self._clean else 0

    def order(self, key: Key, pool: Tensor, size: int) -> Tensor:
        """Places [size] in a pool in the epoch's order; pool [n]: the rows of its examples.

        Drawn without replacement until all have been, or with the method's own weights.
        """
        gen = generator(*key)
        if self._weights is not None:
            weights = self._weights[pool].cpu()
            return torch.multinomial(weights, size, replacement=True, generator=gen)
        rounds = math.ceil(size / len(pool))
        orders = [torch.randperm(len(pool), generator=gen) for _ in range(rounds)]
        return torch.cat(orders)[:size]

    def state_dict(self) -> dict[str, Any]:
        """What has been chosen."""
        clean = self._clean.state_dict() if self._clean else None
        return {"weights": self._weights, "clean": clean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the state was taken."""
        self._weights = state["weights"]
        if self._clean:
            self._clean.load_state_dict(state["clean"])
