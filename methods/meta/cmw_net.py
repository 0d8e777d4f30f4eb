"""CMW-Net.

Shu et al., "CMW-Net: learning a class-aware sample weighting mapping for robust deep learning",
TPAMI 2023.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy


def clusters_of(sizes: Tensor, clusters: int) -> Tensor:
    """The cluster [K] of each class by its size [K]: 0 has the smallest sizes.

    The exact minimum of k-means in one dimension, where each cluster is an interval. Classes of
    equal size share one: where fewer sizes differ than clusters are asked for, each is its own.
    """
    values, place, counts = sizes.cpu().unique(return_inverse=True, return_counts=True)
    n, values = len(values), values.double()
    # spread[i, j]: sum of squares about their mean of values i ... j - 1, from sums of the first j.
    sums = torch.stack([counts, counts * values, counts * values.square()]).cumsum(dim=1)
    sums = torch.cat([sums.new_zeros(3, 1), sums], dim=1)
    mass, total, square = sums[:, None, :] - sums[:, :, None]
    spread = torch.where(mass > 0, square - total.square() / mass, torch.inf)
    least, begins = spread[0], []
    for _ in range(min(clusters, n) - 1):  # least[j]: of values 0 ... j - 1 in so many clusters
        least, begin = (least[:, None] + spread).min(dim=0)
        begins.append(begin)
    labels, end = torch.zeros(n, dtype=torch.long), n
    while begins:
        number, first = len(begins), int(begins.pop()[end])
        labels[first:end], end = number, first
    return labels[place].to(sizes.device)


class CMWNet(Objective):
    """Cross-entropy weighted by V(CE_i, class), which has a head for each kind of class.

    V is a layer 1 - hidden with ReLU that all share, and a head hidden - 1 with a sigmoid for each
    of `clusters` clusters of the observed class sizes, by k-means. The head of the label's class
    counts, of a label distribution their expectation. The input of V is detached. Weights are
    divided by their sum over the batch, detached, as in the authors' code for imbalanced classes.
    With one cluster it is Meta-Weight-Net, but for the gradient of that sum.
    """

    def __init__(self, hidden: int = 100, clusters: int = 3) -> None:
        super().__init__()
        for name, value in (("hidden", hidden), ("clusters", clusters)):
            if value < 1:
                raise ValueError(f"{name} = {value!r} must be at least 1")
        self.clusters = clusters
        self.shared = nn.Sequential(nn.Linear(1, hidden), nn.ReLU())
        self.heads = nn.Linear(hidden, clusters)

    def bind(self, info: PhaseInfo) -> None:
        members = one_hot(clusters_of(info.counts, self.clusters), self.clusters)
        self.members = nn.Buffer(members.to(self.heads.weight))  # [K, clusters]

    def _weights(self, losses: Tensor) -> Tensor:
        """Of losses [B], by each head: [B, clusters]."""
        return self.heads(self.shared(losses[:, None])).sigmoid()

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        shares = batch.y @ self.members.to(batch.y)
        weights = (shares * self._weights(losses.detach())).sum(dim=1)
        total = weights.detach().sum()
        return len(losses) * weights / torch.where(total > 1e-12, total, 1.0) * losses

    def meta_parameters(self) -> Sequence[Tensor]:
        return list(self.parameters())

    def learned(self) -> dict[str, Tensor]:
        """The weight functions on losses 0, 0.25, ..., 10: of the smallest classes first."""
        with torch.no_grad():
            grid = torch.linspace(0, 10, 41).to(self.heads.weight)
            curves = self._weights(grid)
            there = self.members.any(dim=0).tolist()
            return {
                f"weight_function_{n}": curves[:, n - 1]
                for n, is_used in enumerate(there, 1)
                if is_used
            }
