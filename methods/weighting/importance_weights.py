"""Importance weights from the clean examples: the ratio of two densities.

Zadrozny, "Learning and evaluating classifiers under sample selection bias", ICML 2004; the ratio by
logistic regression as in Bickel, Brueckner & Scheffer, "Discriminative learning for differing
training and test distributions", ICML 2007.
"""

import torch
from sklearn.linear_model import LogisticRegression
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

LARGEST = 10.0


class ImportanceWeights(Objective):
    """w_i CE_i, w an estimate of P_clean(x, y) / P_train(x, y), at most 10, with mean 1.

    A logistic regression with inverse penalty C tells clean examples from training examples by the
    features of the phase before and the label; its odds, times n_train / n_clean, are the ratio.
    Memory: 4 bytes an example.
    """

    needs_features = True
    reads_clean = True

    def __init__(self, C: float = 0.1) -> None:
        super().__init__()
        if C <= 0:
            raise ValueError(f"C = {C!r} must be positive")
        self.C = C

    def bind(self, info: PhaseInfo) -> None:
        self.classes = info.classes
        self.of_row = nn.Buffer(torch.ones(info.rows, device=info.labels.device))

    def inherit(self, previous: PreviousPhase) -> None:
        train, clean = previous.predict(), previous.predict("meta")
        inputs = torch.cat([self._inputs(train), self._inputs(clean)]).double().cpu().numpy()
        is_clean = [0] * len(train.y) + [1] * len(clean.y)
        fitted = LogisticRegression(C=self.C, max_iter=1000).fit(inputs, is_clean)
        log_odds = torch.from_numpy(fitted.decision_function(inputs[: len(train.y)]))
        ratios = (log_odds.exp() * len(train.y) / len(clean.y)).clamp(max=LARGEST)
        remember(self.of_row, train.index, (ratios / ratios.mean()).to(self.of_row))

    def _inputs(self, pool: PoolOutputs) -> Tensor:
        assert pool.outputs.features is not None
        features = F.layer_norm(pool.outputs.features, pool.outputs.features.shape[1:])
        return torch.cat([features, F.one_hot(pool.y, self.classes)], dim=1)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return self.of_row[batch.index] * cross_entropy(outputs.logits, batch.y)
