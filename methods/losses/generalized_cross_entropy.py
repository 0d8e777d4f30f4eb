"""Generalized cross-entropy.

Zhang & Sabuncu, "Generalized cross entropy loss for training deep
neural networks with noisy labels", NeurIPS 2018. Learned q: Shu et al., "Learning adaptive loss for
robust learning with noisy labels", 2020.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss


class GeneralizedCrossEntropy(ScalarLoss):
    """(1 - p_y^q) / q.

    q in [0.01, 1]: towards 0 it is cross-entropy, at 1 it is 1 - p_y (half the mean absolute
    error). The implicit weight of an example on the gradient of cross-entropy is p_y^q.
    """

    def __init__(self, q: float = 0.7, learn: Learn = False) -> None:
        super().__init__()
        self.q = Bounded("q", q, 0.01, 1.0, learn)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        q = self.q()
        # expm1 keeps small q and vanishing p exact; p ** q would give 0 * inf in the gradient.
        return expectation(batch.y, -torch.expm1(q * outputs.logits.log_softmax(dim=1)) / q)
