"""A moving average of the weights, which a phase may be judged and left by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.training.snapshot import clone


class WeightAverage:
    """Exponential moving average of a model's weights and buffers over the steps of a phase.

    decay: what a step leaves of the average. The first steps count alike, as long as 1 - 1 / t is
    less than it, so that the weights before them leave no trace (in Tarvainen & Valpola's code, of
    parameters alone, these count as one step).
    Whole numbers (BatchNorm's count of batches) are those of the last step. Memory: the model once
    more, and while it is in the model's place twice.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self.weights: dict[str, Tensor] = clone(self._now())
        self._steps = torch.zeros((), device=next(model.parameters()).device)

    def _now(self) -> dict[str, Tensor]:
        """The model's own tensors, by name."""
        state = self._model.state_dict()
        return {name: value for name, value in state.items() if isinstance(value, Tensor)}

    @torch.no_grad()
    def after_step(self) -> None:
        """Take the weights of a step in; on the device alone."""
        self._steps += 1
        share = (1 / self._steps).clamp_min(1 - self._decay)
        for name, now in self._now().items():
            if now.is_floating_point():
                self.weights[name].lerp_(now, share.to(now))
            else:
                self.weights[name].copy_(now)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average's weights inside, and its own again afterwards."""
        own = clone(self._now())
        self.adopt()
        try:
            yield
        finally:
            self._put(own)

    def adopt(self) -> None:
        """Give the model the average's weights for good."""
        self._put(self.weights)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, tensor in self._now().items():
            tensor.copy_(weights[name])

    def tensors(self) -> list[Tensor]:
        """What a step changes, in place."""
        return [*self.weights.values(), self._steps]

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"weights": self.weights, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the state was taken."""
        for name, average in self.weights.items():
            average.copy_(state["weights"][name])
        self._steps.copy_(state["steps"])
