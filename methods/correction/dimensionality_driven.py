"""Dimensionality-driven learning.

Ma et al., "Dimensionality-driven learning with noisy labels", ICML 2018.
"""

import torch
from torch import Tensor, nn

from methods.objective import (
    Batch,
    Objective,
    Outputs,
    PhaseInfo,
    Predict,
    cross_entropy,
    generator,
    likeliest,
)

SAMPLE, GROUP = 1280, 128  # examples of an epoch, and among how many neighbours are looked for


def local_dimension(features: Tensor, k: int) -> Tensor:
    """Mean local intrinsic dimensionality of features [n, D] among themselves, a scalar.

    -1 / mean_j ln(r_j / r_k) over the k nearest neighbours of each (equation 4: the estimator of
    Amsaleg et al. 2015).
    """
    distances = torch.cdist(features, features).fill_diagonal_(torch.inf)
    nearest = distances.topk(k, largest=False).values
    logs = (nearest / nearest[:, -1:].clamp_min(1e-12) + 1e-8).log()
    return (-1 / logs.mean(dim=1)).mean()


class DimensionalityDriven(Objective):
    """Cross-entropy with the label alpha y + (1 - alpha) q, q the likeliest class.

    alpha is 1 until the dimensionality of the features, taken before each epoch, turns upwards: the
    present one exceeds the mean of the `window` before by two of their standard deviations, at the
    earliest after `window` + `init` epochs. From then on alpha = exp(-(epoch / epochs) LID / min
    LID). The paper's return to the weights of the epoch before is left out; its published code
    begins with symmetric cross-entropy where the paper has cross-entropy.
    """

    needs_features = True

    def __init__(self, k: int = 20, window: int = 5, init: int = 5) -> None:
        super().__init__()
        for name, value in (("k", k), ("window", window), ("init", init)):
            if value < 2:
                raise ValueError(f"{name} = {value!r} must be at least 2")
        self.k, self.window, self.init = k, window, init

    def bind(self, info: PhaseInfo) -> None:
        device = info.labels.device
        self.dimensions = nn.Buffer(torch.zeros(info.epochs, device=device))
        self.turned = nn.Buffer(torch.zeros((), dtype=torch.bool, device=device))
        self.alpha = nn.Buffer(torch.ones((), device=device))

    def begin_epoch(self, epoch: int, predict: Predict) -> None:
        features = predict().outputs.features
        assert features is not None
        chosen = torch.randperm(len(features), generator=generator("dimension", epoch))[:SAMPLE]
        groups = features[chosen.to(features.device)].float().split(GROUP)
        found = [local_dimension(g, min(self.k, len(g) - 1)) for g in groups if len(g) > 2]
        self.dimensions[epoch] = torch.stack(found).mean()
        self._turn(epoch)

    def _turn(self, epoch: int) -> None:
        known = self.dimensions[: epoch + 1]
        before = known[-1 - self.window : -1]
        if len(known) > self.window + self.init:
            self.turned |= known[-1] - before.mean() > 2 * before.std(correction=0)
        share = epoch / len(self.dimensions)
        mixed = torch.exp(-share * known[-1] / known.min())
        self.alpha.copy_(torch.where(self.turned, mixed, 1.0))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        z = outputs.logits
        return cross_entropy(z, likeliest(z).lerp(batch.y, self.alpha.to(z)))

    def learned(self) -> dict[str, Tensor]:
        """What of a label counts."""
        return {"alpha": self.alpha}
