"""MaxUp.

Gong, Ren, Ye & Liu, "MaxUp: lightweight adversarial training with data augmentation improves neural
network training", CVPR 2021.
"""

from dataclasses import replace

import torch
from torch import Tensor

from methods.objective import Batch, ModelCall, Objective, Outputs, cross_entropy, generator
from methods.scalar_loss import Bounded


class MaxUp(Objective):
    """Cross-entropy on the hardest of m augmented copies of each example: E max_j l(x_j, y).

    m: copies; 1 is plain training on augmented examples. They are augmented as the protocol says;
    where it augments nothing, they are x + sigma e_j with Gaussian e_j in normalised features. The
    copies are compared by a forward in training mode, with the dropout masks of the step's own.
    """

    def __init__(self, m: int = 4, sigma: float = 0.1) -> None:
        super().__init__()
        if not isinstance(m, int) or m < 1:
            raise ValueError(f"m = {m!r} must be a whole number from 1 on")
        self.m = m
        self.sigma = Bounded("sigma", sigma, 0.0)

    @property
    def extra_passes(self) -> int:
        return self.m if self.m > 1 else 0

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        copies = [self._copy(batch, number) for number in range(self.m)]
        if self.m == 1:
            return replace(batch, x=copies[0])
        with torch.no_grad():
            losses = [cross_entropy(model(x).logits, batch.y) for x in copies]
        hardest = torch.stack(losses).argmax(dim=0)
        rows = torch.arange(len(hardest), device=hardest.device)
        return replace(batch, x=torch.stack(copies)[hardest, rows])

    def _copy(self, batch: Batch, number: int) -> Tensor:
        if batch.augment is not None:  # batch.x is the first one
            return batch.augment(number) if number else batch.x
        noise = torch.randn(batch.x.shape, generator=generator(*batch.key, "copy", number))
        return batch.x + self.sigma.value * noise.to(batch.x)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
