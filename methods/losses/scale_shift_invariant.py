"""Weight-scale-shift-invariant regularization.

After Liu et al., "Improve generalization and robustness of neural networks via weight scale
shifting invariant regularizations", 2020. The formula is derived from its abstract: the paper's own
was not at hand. By Su's account (kexue.fm/archives/7681) that is the logarithm of this product, and
an L1 penalty of W_l / |W_l|.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class ScaleShiftInvariant(ScalarLoss):
    """CE + c prod_l |W_l|, over the weight matrices and kernels of all layers.

    Unlike weight decay it stays as it is where one layer is multiplied by a and the next divided by
    it, which changes no output of a ReLU network; and it bounds |dz/dx|. For networks without
    BatchNorm, which makes every layer's scale meaningless. c in [0, 1]: 0 is cross-entropy.
    """

    def __init__(self, c: float = 1e-4, learn: bool = False) -> None:
        super().__init__()
        self.c = Bounded("c", c, 0.0, 1.0, learn)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        norms = [torch.linalg.vector_norm(p) for p in parameters.values() if p.dim() > 1]
        return self.c() * math.prod(norms)  # the derivative of torch's looks for zeros, and waits
