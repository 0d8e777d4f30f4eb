"""Bootstrapping.

Reed et al., "Training deep neural networks on noisy labels with bootstrapping", ICLR workshop 2015.
"""

from torch import Tensor

from methods.objective import Batch, Objective, Outputs, cross_entropy, likeliest
from methods.scalar_loss import Bounded


class Bootstrapping(Objective):
    """Cross-entropy with the target beta y + (1 - beta) q, q the model's own prediction.

    soft: q = p, with the gradient through it, as published, so that the loss is beta CE + (1 -
    beta) times the prediction's entropy. (Without that gradient it would be cross-entropy at beta
    times the learning rate.) Otherwise q is the likeliest class. beta in [0, 1]: 1 is
    cross-entropy.
    """

    def __init__(self, beta: float = 0.95, soft: bool = True) -> None:
        super().__init__()
        self.beta = Bounded("beta", beta, 0.0, 1.0)
        self.soft = soft

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        z, beta = outputs.logits, self.beta.value
        own = z.softmax(dim=1) if self.soft else likeliest(z)
        return beta * cross_entropy(z, batch.y) + (1 - beta) * cross_entropy(z, own)
