"""Class-balanced cross-entropy.

Cui, Jia, Lin, Song & Belongie, "Class-balanced loss based on effective number of samples", CVPR
2019. Deferred: Cao et al., "Learning imbalanced datasets with label-distribution-aware margin
loss", NeurIPS 2019.
"""

import torch
from torch import Tensor, nn

from methods.objective import Batch, Outputs, PhaseInfo, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class ClassBalanced(ScalarLoss):
    """w_y CE, with w_c in proportion to 1 / E(n_c), sum K; E(n) = (1 - beta^n) / (1 - beta).

    E(n_c) is the effective number of a class's n_c examples. beta in [0, 1]: 0 is cross-entropy, 1
    weighs by inverse frequency. Examples are counted by their observed labels: noise fills the
    small classes, and so takes some of their weight.
    deferred: the share of the phase during which weights are 1.
    """

    def __init__(self, beta: float = 0.9999, deferred: float = 0.0) -> None:
        super().__init__()
        self.beta = Bounded("beta", beta, 0.0, 1.0)
        self.deferred = Bounded("deferred", deferred, 0.0, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        weights = 1 / effective_numbers(info.counts, self.beta.value)
        self.class_weights = nn.Buffer((len(weights) * weights / weights.sum()).float())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        weights = torch.where(batch.progress < self.deferred.value, 1.0, self.class_weights)
        return expectation(batch.y, -weights.to(log_p) * log_p)


def effective_numbers(counts: Tensor, beta: float) -> Tensor:
    """E(n) of each class's count [K], float64; a class without examples has that of the smallest.

    beta: in [0, 1]; at 1 the limit, n itself.
    """
    n = counts.double()
    n = torch.where(n > 0, n, n[n > 0].min())
    if beta == 1:
        return n
    # expm1 keeps beta near 1 exact.
    return -torch.expm1(n * torch.tensor(beta, dtype=torch.float64).log()) / (1 - beta)
