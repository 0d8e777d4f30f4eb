"""Rectified random weights: the control of L2RW. Ren et al., ICML 2018, section 4."""

import torch
from torch import Tensor

from methods.objective import Batch, Objective, Outputs, cross_entropy, generator, rectified


class RandomWeights(Objective):
    """L2RW without what it learns: B * w_i * CE_i, w_i proportional to max(0, n_i), sum 1.

    n_i is standard normal.
    """

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        noise = torch.randn(len(batch.y), generator=generator(*batch.key, "random weights"))
        weights = rectified(noise.to(batch.y))
        return len(batch.y) * weights * cross_entropy(outputs.logits, batch.y)
