"""Active bias that draws examples instead of weighting them.

Chang, Learned-Miller & McCallum, "Active bias: training more accurate neural networks by
emphasizing high variance samples", NeurIPS 2017.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, PhaseInfo, Predict, cross_entropy
from methods.weighting.active_bias import ActiveBias


class ActiveBiasSampling(ActiveBias):
    """Cross-entropy on examples drawn in proportion to the statistic of `ActiveBias` and epsilon.

    Drawn with replacement, for an epoch at a time, from its history so far; as they come in epochs
    that begin within the first `warmup` of the phase. An example that was seen less than twice is
    drawn as often as others are on average. Memory: 12 bytes an example.
    """

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        self.epochs = info.epochs

    def begin_epoch(self, epoch: int, predict: Predict) -> Tensor | None:
        unsure, known = self.unsure(self.history)
        if epoch < self.warmup.value * self.epochs or not known.any():
            return None
        return torch.where(known, unsure, unsure[known].mean())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
