"""A step whose length and weight decay learn themselves.

After Luketina et al., "Scalable gradient-based tuning of continuous regularization
hyperparameters", ICML 2016, and Franceschi et al., "Forward and reverse gradient-based
hyperparameter optimization", ICML 2017; by the exact gradient of one look-ahead step.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class LearnedStep(ScalarLoss):
    """rate (CE + decay / 2 |theta|^2), of which rate, decay or both learn from the clean loss.

    Under SGD, rate multiplies the schedule's learning rate, and decay is its weight decay, of all
    parameters alike: so the phase's schedule.weight_decay is 0. With momentum, a rate that changes
    scales gradients as they join the buffer. rate in (0, 100): 1 is the schedule's own. decay in
    [0, 0.1]: 0 is none.
    The hypergradients at a look-ahead alpha are -alpha <g, dCE/dtheta + decay theta> and
    -alpha rate <g, theta>, with g the clean loss's gradient behind it.
    """

    def __init__(
        self,
        rate: float = 1.0,
        decay: float = 5e-4,
        learn_rate: bool = False,
        learn_decay: bool = False,
    ) -> None:
        super().__init__()
        self.rate = Bounded("rate", rate, 0.0, 100.0, learn_rate)
        self.decay = Bounded("decay", decay, 0.0, 0.1, learn_decay)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return self.rate() * cross_entropy(outputs.logits, batch.y)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        squares = torch.stack([p.square().sum() for p in parameters.values()]).sum()
        return self.rate() * self.decay() / 2 * squares
