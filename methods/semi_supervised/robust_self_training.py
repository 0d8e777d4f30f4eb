"""Robust self-training.

Raghunathan et al., "Understanding and mitigating the tradeoff between robustness and accuracy",
ICML 2020.
"""

from dataclasses import replace

import torch
from torch import Tensor

from methods.objective import Batch, ModelCall, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded
from methods.semi_supervised.self_training import SelfTraining


class RobustSelfTraining(SelfTraining):
    """(1 - beta) L(x) + beta L(x'), with L as in self-training and x' within the attack's reach.

    x' is found by gradient ascent from x under the threat of the protocol's attack; both go through
    the model as one batch. robust_weight: as `weight`, in L(x'). step: of the ascent, in radii;
    steps: how many. The authors' ascent starts with noise of 0.001 and sees the model in eval mode;
    here it starts at x, and the model is in training mode.
    """

    needs_threat = True

    def __init__(
        self,
        weight: float = 0.5,
        robust_weight: float = 0.5,
        beta: float = 0.5,
        step: float = 0.226,
        steps: int = 10,
    ) -> None:
        super().__init__(weight)
        self.robust_weight = Bounded("robust_weight", robust_weight, 0.0, 1.0)
        self.beta = Bounded("beta", beta, 0.0, 1.0)
        self.step = Bounded("step", step, 0.0)
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps = {steps!r} must be a whole number from 1 on")
        self.steps = steps

    @property
    def extra_passes(self) -> int:
        return 2 * self.steps + 3  # the ascent, and as many examples once more

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        self.threat = info.threat

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        assert self.threat is not None
        batch = super().before_step(batch, model)

        def loss(x: Tensor) -> Tensor:
            return cross_entropy(model(x).logits, batch.y).sum()

        stride = self.step.value * self.threat.epsilon
        perturbed = self.threat.ascend(batch.x, loss, stride, self.steps)
        y, index, trusted = (torch.cat([t, t]) for t in (batch.y, batch.index, batch.trusted))
        x = torch.cat([batch.x, perturbed])
        return replace(batch, x=x, y=y, index=index, trusted=trusted, augment=None)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Losses [2 B]: of the inputs, then of the perturbed ones."""
        losses, number = cross_entropy(outputs.logits, batch.y), len(batch.index) // 2
        parts = losses.tensor_split([number]), batch.index.tensor_split([number])
        weights = self.weight.value, self.robust_weight.value
        natural, robust = map(self.mean_of, *parts, weights)
        beta = self.beta.value
        return len(losses) * torch.cat([(1 - beta) * natural, beta * robust])
