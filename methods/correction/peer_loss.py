"""Peer loss.

Liu & Guo, "Peer loss functions: learning from noisy labels without knowing noise rates", ICML 2020.
"""

from torch import Tensor

from methods.objective import Batch, Objective, Outputs, expectation
from methods.scalar_loss import Bounded

LEAST = 1e-5  # added to a probability: what a peer's label takes away is bounded


class PeerLoss(Objective):
    """l(p_i, y_i) - alpha l(p_j, y_k), with l(p, y) = -log (p_y + 1e-5), j and k two others.

    What agrees with labels as such, whatever the input, is taken away; then noise that is alike in
    all classes needs no rate. j and k are the next two of the batch, which is in random order.
    alpha >= 0: 0 is cross-entropy. warmup: the share of the phase before alpha counts.
    """

    def __init__(self, alpha: float = 0.95, warmup: float = 0.4) -> None:
        super().__init__()
        self.alpha = Bounded("alpha", alpha, 0.0, 100.0)
        self.warmup = Bounded("warmup", warmup, 0.0, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        each = -(outputs.logits.softmax(dim=1) + LEAST).log()
        own = expectation(batch.y, each)
        peers = expectation(batch.y.roll(-2, 0), each.roll(-1, 0))
        alpha = self.alpha.value * (batch.progress >= self.warmup.value)
        return own - alpha.to(own) * peers
