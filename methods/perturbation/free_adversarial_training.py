"""Free adversarial training: one backward moves the weights and the perturbation.

Shafahi et al., "Adversarial training for free!", NeurIPS 2019.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, ModelCall, Objective, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded


class FreeAdversarialTraining(Objective):
    """Cross-entropy on x + d, d one perturbation of each place of a batch, kept from step to step.

    Each batch comes `m` times in a row (algorithm 1), so that m epochs go over the pool once; each
    backward also gives the gradient in the inputs, by which d takes a step of `step` radii and is
    projected on the ball. radius: of the protocol's attack; 0 is plain cross-entropy. Where the
    data's range cuts x + d off, the authors' d stays; here it may move on. Memory: a batch of
    inputs.
    """

    needs_threat = True

    def __init__(self, radius: float = 1.0, step: float = 1.0, m: int = 8) -> None:
        super().__init__()
        self.radius = Bounded("radius", radius, 0.0)
        self.step = Bounded("step", step, 0.0)
        if not isinstance(m, int) or m < 1:
            raise ValueError(f"m = {m!r} must be a whole number from 1 on")
        self.m = m

    @property
    def replays(self) -> int:
        return self.m

    def bind(self, info: PhaseInfo) -> None:
        if info.threat is not None:
            epsilon = self.radius.value * info.threat.epsilon
            self.threat = replace(info.threat, epsilon=epsilon)
        shape = (self._places(info), *info.input_shape)
        self.delta = nn.Buffer(torch.zeros(shape, device=info.labels.device))

    def _places(self, info: PhaseInfo) -> int:
        return info.batch_size

    def _rows(self, batch: Batch) -> Tensor:
        return torch.arange(len(batch.index), device=batch.index.device)

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        x = self.threat.perturbed(batch.x, self.delta[self._rows(batch)].to(batch.x))
        return replace(batch, x=x.detach().requires_grad_())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        if batch.x.grad is None:  # of a loop that takes none at the inputs
            return
        rows, stride = self._rows(batch), self.step.value * self.threat.epsilon
        moved = self.delta[rows] + stride * self.threat.uphill(batch.x.grad)
        remember(self.delta, rows, self.threat.in_ball(moved))
