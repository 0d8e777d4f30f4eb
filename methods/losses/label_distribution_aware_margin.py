"""Label-distribution-aware margin loss.

Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", NeurIPS 2019.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.objective import Batch, Outputs, PhaseInfo, expectation, likeliest
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
        against = log_odds_against(outputs.logits) + self.margin() * self.shares
        return expectation(batch.y, F.softplus(against, threshold=40.0))


def log_odds_against(logits: Tensor) -> Tensor:
    """ln (1 - p) / p of each class: [B, K] -> [B, K].

    Exact where p rounds to 1: there a margin still counts that is larger than its precision.
    """
    top, log_p = likeliest(logits).bool(), logits.log_softmax(dim=1)
    of_top = logits.masked_fill(top, -torch.inf).logsumexp(dim=1, keepdim=True) - logits
    of_others = torch.log1p(-log_p.exp().masked_fill(top, 0.0)) - log_p
    return torch.where(top, of_top, of_others)
