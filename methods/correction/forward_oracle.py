"""Forward loss correction with the true transition matrix: an upper bound.

Patrini et al., "Making deep neural networks robust to label noise: a loss correction approach",
CVPR 2017.
"""

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import corrected_cross_entropy, stochastic
from methods.objective import Batch, Objective, Outputs, PhaseInfo


class ForwardOracle(Objective):
    """-log (p^T T)_y, with T_ij the share of the examples of true class i that are labelled j.

    T is counted on the pool's own labels and true labels, not the law that these were drawn from. A
    class without an example keeps its labels; entries are at least 1e-6. With T = I it is
    cross-entropy, but for these.
    """

    oracle = True

    def bind(self, info: PhaseInfo) -> None:
        channel = torch.eye(info.classes, device=info.labels.device)
        if info.truth is not None:
            channel = confusion(info.truth, info.labels, info.classes)
        self.channel = nn.Buffer(stochastic(channel))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return corrected_cross_entropy(outputs.logits, batch.y, self.channel)


def confusion(truth: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Shares [K, K], by row, of labels [N] among the examples of each true class [N].

    Examples that have either at -1 do not count; the row of a class without any is the identity's.
    """
    known = (truth >= 0) & (labels >= 0)
    pairs = truth[known] * classes + labels[known]
    counts = pairs.bincount(minlength=classes**2).view(classes, classes)
    total = counts.sum(dim=1, keepdim=True)
    kept = torch.eye(classes, device=counts.device)
    return torch.where(total > 0, counts / total.clamp_min(1), kept)
