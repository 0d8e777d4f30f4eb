"""Training on inputs with Gaussian noise.

Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation 7, 1995.
"""

from dataclasses import replace

import torch
from torch import Tensor

from methods.objective import Batch, ModelCall, Objective, Outputs, cross_entropy, generator
from methods.scalar_loss import Bounded


class GaussianNoise(Objective):
    """Cross-entropy on x + sigma e, e standard normal, drawn anew at each step.

    sigma: in standard deviations of a channel or feature; 0 is cross-entropy. To second order in
    sigma it adds sigma^2 / 2 times the trace of the loss's Hessian in the inputs.
    """

    def __init__(self, sigma: float = 0.1) -> None:
        super().__init__()
        self.sigma = Bounded("sigma", sigma, 0.0)

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        noise = torch.randn(batch.x.shape, generator=generator(*batch.key, "noise"))
        return replace(batch, x=batch.x + self.sigma.value * noise.to(batch.x))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
