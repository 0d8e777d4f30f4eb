"""Label-distribution-aware margin loss.

Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", NeurIPS 2019.
"""

import torch
from torch import Tensor, nn

from methods.objective import Batch, Outputs, PhaseInfo, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class LabelDistributionAwareMargin(ScalarLoss):
    """Cross-entropy with the label's logit lowered by m_y = margin * (n_min / n_y)^(1/4).

    margin >= 0: of the rarest class; 0 is cross-entropy. The paper's 0.5 is on the cosine of a
    normalised last layer, which it scales by 30; models here have a plain last layer, so the margin
    is in units of their logits. n counts observed labels; a class without any counts as one of 1.
    """

    def __init__(self, margin: float = 0.5) -> None:
        super().__init__()
        self.margin = Bounded("margin", margin, 0.0, 30.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        counts = info.counts.to(info.labels.device).clamp_min(1).to(torch.get_default_dtype())
        self.shares = nn.Buffer((counts.min() / counts) ** 0.25)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p, margins = outputs.logits.log_softmax(dim=1), self.margin() * self.shares
        # Lowering logit k by m divides the sum of exponentials by 1 / (1 + p_k (e^-m - 1)).
        normaliser = torch.log1p(log_p.exp() * torch.expm1(-margins))
        return expectation(batch.y, normaliser + margins - log_p)
