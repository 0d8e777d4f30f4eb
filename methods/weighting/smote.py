"""Synthetic minority over-sampling.

Chawla, Bowyer, Hall & Kegelmeyer, "SMOTE: synthetic minority over-sampling technique", Journal of
Artificial Intelligence Research 16, 2002.
"""

from dataclasses import replace

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from methods.objective import (
    Batch,
    ModelCall,
    Objective,
    Outputs,
    PhaseInfo,
    Predict,
    cross_entropy,
    generator,
)
from methods.scalar_loss import Bounded


class Smote(Objective):
    """Cross-entropy where smaller classes also have points between an example and a near one.

    A class of n examples is drawn as often as if it had n (n_max / n)^rho: all alike at rho = 1, as
    they come at 0. So many of its draws are synthetic: x_i + u (x_j - x_i), u uniform in [0, 1], j
    one of the k nearest to i of those with the same observed label, by normalised inputs; of a
    single example a copy. Each is drawn anew, where the paper keeps a fixed set of them. Memory:
    8 (k + 1) bytes an example, and the inputs once more.
    """

    needs_inputs = True

    def __init__(self, rho: float = 1.0, k: int = 5) -> None:
        super().__init__()
        self.rho = Bounded("rho", rho, 0.0, 1.0)
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"k = {k!r} must be a whole number from 1 on")
        self.k = k

    def bind(self, info: PhaseInfo) -> None:
        self.inputs, self.labels = info.inputs, info.labels
        of_class = (info.counts.clamp_min(1).to(info.labels.device) / info.counts.max()).double()
        self.of_row = nn.Buffer((of_class**-self.rho.value)[info.labels.clamp_min(0)])
        self.synthetic = nn.Buffer(1 - of_class**self.rho.value)
        self.number = nn.Buffer((info.counts - 1).clamp(1, self.k).to(info.labels.device))
        own = torch.arange(info.rows, device=info.labels.device)
        self.nearest = nn.Buffer(own[:, None].repeat(1, self.k))

    def begin_epoch(self, epoch: int, predict: Predict) -> Tensor:
        if epoch == 0:
            for c in torch.nonzero(self.synthetic):
                self._find(torch.nonzero(self.labels == c).squeeze(1))
        return self.of_row

    def _find(self, rows: Tensor) -> None:
        """The nearest of each example of a class; rows [n] of it."""
        if (number := min(self.k, len(rows) - 1)) < 1 or self.inputs is None:
            return
        search = NearestNeighbors(n_neighbors=number).fit(self.inputs(rows).cpu().numpy())
        found = torch.from_numpy(search.kneighbors(return_distance=False)).to(rows)  # none is own
        self.nearest[rows, :number] = rows[found]

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        assert self.inputs is not None
        gen, c = generator(*batch.key, "smote"), batch.y.argmax(dim=1)
        made, which, way = torch.rand(3, len(c), 1, generator=gen).to(batch.x)
        place = (which * self.number[c][:, None]).long()
        other = self.inputs(self.nearest[batch.index].gather(1, place).squeeze(1))
        between = batch.x.lerp(other.to(batch.x), way)
        return replace(batch, x=torch.where(made < self.synthetic[c][:, None], between, batch.x))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
