"""Meta label correction.

Zheng, Awadallah & Dumais, "Meta label correction for noisy label learning", AAAI 2021.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy


class MetaLabelCorrection(Objective):
    """Cross-entropy with labels that a network corrects; trusted examples keep theirs.

    y^c = softmax(g(h, y)), with h the model's features, detached, next to an embedding of the noisy
    label, and g a network of three layers with tanh, initialised as in the published code; it
    learns from the clean loss. Theirs scales the look-ahead by the optimizer's momentum factor, and
    trains on half of each clean batch; here the look-ahead and the pool are those of the phase.
    skip: y^c is mixed with the noisy label, by a share that g gives for each example, too (the
    paper's setting for Clothing1M); without it the first epochs, when y^c is about uniform, teach
    nothing.
    """

    needs_features = True

    def __init__(self, hidden: int = 128, embedding: int = 128, skip: bool = True) -> None:
        super().__init__()
        for name, value in (("hidden", hidden), ("embedding", embedding)):
            if value < 1:
                raise ValueError(f"{name} = {value!r} must be at least 1")
        self.hidden, self.embedding, self.skip = hidden, embedding, skip

    def bind(self, info: PhaseInfo) -> None:
        self.embed = nn.Linear(info.classes, self.embedding, bias=False)
        self.net = nn.Sequential(
            nn.Linear(info.features + self.embedding, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, self.hidden),
            nn.Tanh(),
            nn.Linear(self.hidden, info.classes + self.skip),
        )
        nn.init.xavier_uniform_(self.embed.weight)
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.to(info.labels.device)

    def corrected(self, features: Tensor, y: Tensor) -> Tensor:
        """Label distributions [B, K] from features [B, D] and noisy labels [B, K]."""
        logits = self.net(torch.cat([features.detach(), self.embed(y)], dim=1))
        if not self.skip:
            return logits.softmax(dim=1)
        return logits[:, :-1].softmax(dim=1).lerp(y, logits[:, -1:].sigmoid())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        assert outputs.features is not None
        corrected = self.corrected(outputs.features.to(batch.y), batch.y)
        return cross_entropy(
            outputs.logits, torch.where(batch.trusted[:, None], batch.y, corrected)
        )

    def meta_parameters(self) -> Sequence[Tensor]:
        return list(self.parameters())
