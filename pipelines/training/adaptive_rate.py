"""A learning rate that descends on the training loss itself: hypergradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.study.protocol import Schedule
from pipelines.training.optimizer import decays


class AdaptiveRate:
    """alpha_t = alpha_(t-1) + beta <grad_t, u_(t-1)>, with u the direction of SGD's last step.

    Baydin et al., "Online learning rate adaptation with hypergradient descent", ICLR 2018 (SGD-HD
    and its form with momentum). Gradients include weight decay, as in the authors' code; other than
    there the rate does not fall below 0. Takes as much memory as the model.

    value: in float64, as theirs is: what a step adds is often less than float32 tells apart.
    """

    def __init__(self, schedule: Schedule, parameters: Sequence[Tensor]) -> None:
        self.schedule, self.parameters = schedule, parameters
        device = parameters[0].device
        self.value = torch.tensor(schedule.lr, dtype=torch.float64, device=device)
        self.directions = [torch.zeros_like(p) for p in parameters]
        self._slopes: list[Tensor] = []

    @torch.no_grad()
    def before_step(self) -> Tensor:
        """The rate of the step along the parameters' present gradients."""
        self._slopes = [self._slope(p) for p in self.parameters]
        pairs = zip(self._slopes, self.directions, strict=True)
        agreement = torch.stack([(slope * u).sum() for slope, u in pairs]).sum()
        self.value.add_(agreement, alpha=self.schedule.hypergradient_lr).clamp_(min=0)
        return self.rate()

    def rate(self) -> Tensor:
        """The present rate as optimizers take it, in float32."""
        return self.value.float()

    @torch.no_grad()
    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Remember the direction that the optimizer has just gone."""
        momentum, slopes = self.schedule.momentum, self._slopes
        for p, slope, u in zip(self.parameters, slopes, self.directions, strict=True):
            mean = optimizer.state[p]["momentum_buffer"] if momentum else slope
            u.copy_(slope + momentum * mean if self.schedule.nesterov else mean)
        self._slopes.clear()

    def _slope(self, p: Tensor) -> Tensor:
        grad = torch.zeros_like(p) if p.grad is None else p.grad
        return grad.add(p, alpha=self.schedule.weight_decay) if decays(self.schedule, p) else grad

    def tensors(self) -> list[Tensor]:
        """What changes from step to step, in place."""
        return [self.value, *self.directions]

    def load(self, tensors: Sequence[Tensor]) -> None:
        """Stand where `tensors` was taken."""
        for here, there in zip(self.tensors(), tensors, strict=True):
            here.copy_(there)
