"""Weights raised where the model is wrong, as AdaBoost does.

Freund & Schapire, "A decision-theoretic generalization of on-line learning and an application to
boosting", JCSS 1997; for K classes: Zhu et al., "Multi-class AdaBoost", Statistics and Its
Interface 2009.
"""

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, Objective, Outputs, PhaseInfo, Predict, cross_entropy
from methods.scalar_loss import Bounded

LOWEST, HIGHEST = 0.1, 10.0


class Boosted(Objective):
    """w_i CE_i, with w_i multiplied by exp(rate a) where the prediction is not the label.

    a = ln((1 - e) / e) + ln(K - 1), e the weighted share of errors (SAMME); every `every` epochs,
    not where e is at or above chance, 1 - 1 / K. Weights have mean 1, and are then kept within
    [0.1, 10]. One network goes on, and there is no ensemble, so it is not AdaBoost. rate in [0, 1]:
    0 is cross-entropy. Under label noise weight gathers on wrong labels: a negative control.
    Memory: 4 bytes an example.
    """

    def __init__(self, rate: float = 1.0, every: int = 5) -> None:
        super().__init__()
        self.rate = Bounded("rate", rate, 0.0, 1.0)
        if every < 1:
            raise ValueError(f"every = {every!r} must be at least 1")
        self.every = every

    def bind(self, info: PhaseInfo) -> None:
        self.of_row = nn.Buffer(torch.ones(info.rows, device=info.labels.device))

    def begin_epoch(self, epoch: int, predict: Predict) -> None:
        if epoch == 0 or epoch % self.every:
            return
        outputs, index, y, _ = predict()
        wrong, weights = outputs.logits.argmax(dim=1) != y, self.of_row[index]
        classes = outputs.logits.shape[1]
        error = (weights * wrong).sum() / weights.sum()
        chance = 1 - 1 / classes
        a = torch.log((1 - error) * (classes - 1) / error.clamp_min(1e-6))
        raised = weights * torch.exp(self.rate.value * a * wrong)
        raised = (raised / raised.mean()).clamp(LOWEST, HIGHEST)
        remember(self.of_row, index, torch.where(error < chance, raised, weights))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return self.of_row[batch.index] * cross_entropy(outputs.logits, batch.y)
