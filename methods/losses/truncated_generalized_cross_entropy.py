"""Truncated generalized cross-entropy.

Zhang & Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy
labels", NeurIPS 2018, section 3.3.
"""

import torch
from torch import Tensor, nn

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.memory import remember
from methods.objective import Batch, Outputs, PhaseInfo, Predict
from methods.scalar_loss import Bounded


class TruncatedGeneralizedCrossEntropy(GeneralizedCrossEntropy):
    """GCE on the examples with p_y > k, chosen anew every so many epochs; 0 on the others.

    The paper's loss but for the constant (1 - k^q) / q of what is left out. The first choice is
    made after the share `warmup` of the epochs, then one every `every` epochs (in the paper's code
    after 40 of 120, and every 10). Unlike there, it is made with the present model, not the best so
    far. Where nobody would be kept, the choice before stands.
    """

    def __init__(
        self, q: float = 0.7, k: float = 0.5, warmup: float = 1 / 3, every: int = 10
    ) -> None:
        super().__init__(q)
        self.k = Bounded("k", k, 0.0, 1.0)
        self.warmup = Bounded("warmup", warmup, 0.0, 1.0)
        if every < 1:
            raise ValueError(f"every = {every!r} must be at least 1")
        self.every = every

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        self.first = round(self.warmup.value * info.epochs)
        self.kept = nn.Buffer(torch.ones(info.rows, dtype=torch.bool, device=info.labels.device))

    def begin_epoch(self, epoch: int, predict: Predict) -> None:
        super().begin_epoch(epoch, predict)
        if epoch < self.first or (epoch - self.first) % self.every:
            return
        outputs, index, y, _ = predict()
        kept = outputs.logits.softmax(dim=1).gather(1, y[:, None]).squeeze(1) > self.k.value
        remember(self.kept, index, torch.where(kept.any(), kept, self.kept[index]))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return self.kept[batch.index] * super().forward(outputs, batch)
