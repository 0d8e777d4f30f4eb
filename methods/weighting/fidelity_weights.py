"""Fidelity-weighted learning.

Dehghani, Mehrjou, Gouws, Kamps & Schoelkopf, "Fidelity-weighted learning", ICLR 2018.
"""

import numpy as np
import torch
from scipy.spatial.distance import pdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from torch import Tensor, nn
from torch.nn import functional as F

from methods.memory import remember
from methods.objective import (
    Batch,
    Objective,
    Outputs,
    PhaseInfo,
    PoolOutputs,
    PreviousPhase,
    cross_entropy,
)
from methods.scalar_loss import Bounded

NOISE = 0.1  # variance of a label, in units of its prior's
MOST = 2000  # clean examples that the process is fitted to: it takes their number cubed


class FidelityWeights(Objective):
    """exp(-beta S(x)) CE with the label T(x), mean and standard deviation of a Gaussian process.

    The teacher is fitted, in the phase before's features, to the clean examples (at most 2,000),
    one output for each class; its kernel is a Gaussian as wide as their median distance. T is cut
    off at 0 and scaled to sum 1; S is in units of its prior. beta >= 0: 0 trusts T everywhere. The
    paper's clusters of processes, for larger sets, are left out. Memory: 4 (K + 1) bytes an
    example, 44 MB for a million of ten classes.
    """

    needs_features = True
    reads_clean = True

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = Bounded("beta", beta, 0.0, 100.0)

    def bind(self, info: PhaseInfo) -> None:
        labels = F.one_hot(info.labels.clamp_min(0), info.classes).float()
        self.labels, self.spread = nn.Buffer(labels), nn.Buffer(torch.zeros_like(labels[:, 0]))

    def inherit(self, previous: PreviousPhase) -> None:
        clean, pool = previous.predict("meta"), previous.predict()
        known = F.one_hot(clean.y, self.labels.shape[1]).double().cpu().numpy()
        inputs = _inputs(clean)[:MOST]
        kernel = RBF(max(float(np.median(pdist(inputs))), 1e-6))
        teacher = GaussianProcessRegressor(
            kernel,
            alpha=NOISE,
            optimizer=None,  # pyright: ignore[reportArgumentType]  # the kernel as it is
            normalize_y=True,
        )
        teacher.fit(inputs, known[:MOST])
        mean, deviation = teacher.predict(_inputs(pool), return_std=True)
        labels = F.normalize(torch.from_numpy(mean).clamp_min(1e-6), p=1)
        remember(self.labels, pool.index, labels.to(self.labels))
        prior = known[:MOST].std(axis=0)
        spread = torch.from_numpy(deviation / np.where(prior > 0, prior, 1.0)).mean(dim=1)
        remember(self.spread, pool.index, spread.to(self.spread))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        fidelity = (-self.beta.value * self.spread[batch.index]).exp().to(batch.y)
        return fidelity * cross_entropy(outputs.logits, self.labels[batch.index].to(batch.y))


def _inputs(pool: PoolOutputs) -> np.ndarray:
    """Features [n, D] at a distance of about 1 from each other."""
    features = pool.outputs.features
    assert features is not None
    scaled = F.layer_norm(features, features.shape[1:]) / features.shape[1] ** 0.5
    return scaled.double().cpu().numpy()
