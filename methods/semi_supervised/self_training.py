"""Self-training.

Raghunathan et al., "Understanding and mitigating the tradeoff between robustness and accuracy",
ICML 2020.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, ModelCall, Outputs, PhaseInfo, PreviousPhase, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class SelfTraining(ScalarLoss):
    """Cross-entropy, for examples without a label on what the phase before predicts of them.

    weight in [0, 1]: w of an example without a label, against 1 - w of one with; a batch's losses
    are divided by the sum of its weights (as in the published code). 0.5: all count alike.
    """

    uses_unlabelled = True

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = Bounded("weight", weight, 0.0, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        nothing = torch.full((info.rows,), -1, device=info.labels.device)
        self.pseudo_labels = nn.Buffer(nothing)  # -1: of an example with a label

    def inherit(self, previous: PreviousPhase) -> None:
        super().inherit(previous)
        outputs, index, _, _ = previous.predict("unlabelled")
        predicted = previous.objective.predict(outputs).argmax(dim=1)
        remember(self.pseudo_labels, index, predicted)

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        classes = torch.arange(batch.y.shape[1], device=batch.y.device)
        pseudo = self.pseudo_labels[batch.index, None] == classes  # `one_hot` waits for the device
        return replace(batch, y=batch.y + pseudo.to(batch.y))

    def mean_of(self, losses: Tensor, index: Tensor, weight: float) -> Tensor:
        """Summands [n] of the weighted mean of losses [n] of the examples in rows [n]."""
        without = self.pseudo_labels[index] >= 0
        weights = torch.where(without, weight, 1 - weight).to(losses)
        total = weights.sum()
        return weights / torch.where(total > 0, total, 1.0) * losses

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        return len(losses) * self.mean_of(losses, batch.index, self.weight.value)
