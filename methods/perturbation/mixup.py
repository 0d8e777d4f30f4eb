"""Mixup. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from methods.objective import (
    Batch,
    ModelCall,
    Objective,
    Outputs,
    cross_entropy,
    generator,
    seed_of,
)
from methods.scalar_loss import Bounded


class Mixup(Objective):
    """Cross-entropy on lambda (x, y)_i + (1 - lambda) (x, y)_j, j a permutation of the batch.

    lambda ~ Beta(alpha, alpha), one for a batch, as published. alpha > 0: towards 0 it is
    cross-entropy, since lambda is then 0 or 1.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = Bounded("alpha", alpha, 0.0, 100.0)

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        key = (*batch.key, "mixup")
        share = np.random.default_rng(seed_of(*key)).beta(self.alpha.value, self.alpha.value)
        other = torch.randperm(len(batch.y), generator=generator(*key)).to(batch.y.device)
        x, y = (t[other].lerp(t, share) for t in (batch.x, batch.y))
        return replace(batch, x=x, y=y)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
