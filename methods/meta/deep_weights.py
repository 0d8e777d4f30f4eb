"""Weights from what the model makes of an example, learned from the clean loss.

After Fan et al., "Learning to reweight with deep interactions", AAAI 2021, whose teacher sees the
student's features, too, and learns through its last steps; here through one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy
from methods.weighting.by_loss import mean_one


class DeepWeights(Objective):
    """V(h_i, y_i, CE_i, t) CE_i, scaled to mean 1 in a batch.

    V has a hidden layer with ReLU and a sigmoid at its end; h is the features, normalised to mean 0
    and variance 1 in each example, y an embedding of the label, t the progress of the phase. All
    are detached. Without h, y and t it is Meta-Weight-Net.
    """

    needs_features = True

    def __init__(self, hidden: int = 100, embedding: int = 16) -> None:
        super().__init__()
        for name, value in (("hidden", hidden), ("embedding", embedding)):
            if value < 1:
                raise ValueError(f"{name} = {value!r} must be at least 1")
        self.hidden, self.embedding = hidden, embedding

    def bind(self, info: PhaseInfo) -> None:
        self.embed = nn.Linear(info.classes, self.embedding, bias=False)
        width = info.features + self.embedding + 2
        self.net = nn.Sequential(
            nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1), nn.Sigmoid()
        )
        self.to(info.labels.device)

    def weights(self, features: Tensor, losses: Tensor, batch: Batch) -> Tensor:
        """Of features [B, D] and cross-entropies [B], not yet scaled: [B]."""
        seen = F.layer_norm(features, features.shape[1:])
        state = torch.stack([losses, batch.progress.to(losses).expand_as(losses)], dim=1)
        return self.net(torch.cat([seen, self.embed(batch.y), state], dim=1)).squeeze(1)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        assert outputs.features is not None
        losses = cross_entropy(outputs.logits, batch.y)
        features = outputs.features.detach().to(losses)
        return mean_one(self.weights(features, losses.detach(), batch)) * losses

    def meta_parameters(self) -> Sequence[Tensor]:
        return list(self.parameters())
