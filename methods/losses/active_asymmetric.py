"""Normalized cross-entropy with an asymmetric passive loss.

Zhou, Liu, Jiang, Gao & Ji, "Asymmetric loss functions for learning with noisy labels", ICML 2021;
after Ma et al., "Normalized loss functions for deep learning with noisy labels", ICML 2020.
"""

from torch import Tensor

from methods.losses.asymmetric_generalized_cross_entropy import asymmetric
from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class ActiveAsymmetric(ScalarLoss):
    """alpha * NCE + beta * AGCE: normalized, and asymmetric generalized cross-entropy.

    NCE = log p_y / sum_k log p_k, AGCE = ((a + 1)^q - (a + p_y)^q) / q. alpha, beta >= 0: beta = 0
    is NCE alone. Defaults are the authors' for CIFAR-10.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 4.0, a: float = 6.0, q: float = 1.5
    ) -> None:
        super().__init__()
        self.alpha = Bounded("alpha", alpha, 0.0, 100.0)
        self.beta = Bounded("beta", beta, 0.0, 100.0)
        self.a = Bounded("a", a, 0.01, 100.0)
        self.q = Bounded("q", q, 0.01, 10.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        normalized = log_p / log_p.sum(dim=1, keepdim=True)
        passive = asymmetric(log_p, self.a.value, self.q.value)
        return expectation(batch.y, self.alpha.value * normalized + self.beta.value * passive)
