"""A method to start from: copy it into a family, rename it, delete what you do not need.

No arm names it, so no study runs it; `tests/test_template.py` does. docs/extending.md goes through
the steps.
"""

import torch
from torch import Tensor, nn

from methods.objective import Batch, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class Template(ScalarLoss):
    """CE_i / (1 + (m_i / scale)^2), with m_i the running mean of example i's past losses.

    First the formula, then what the ends of each range mean, then the source: Author & Author,
    "Title", VENUE year, equation (n); and in what this differs from it.
    scale > 0: towards 0 all that was ever hard is left out, at infinity it is cross-entropy.
    momentum in [0, 1]: 0 remembers the last loss only, 1 nothing (m stays 0).
    """

    # The arguments are the hyperparameters of study files and search spaces, so each has a name of
    # the paper's and its published default. With `learn`, scale learns itself from the clean loss:
    # ScalarLoss finds the Bounded members, and nothing else is needed for it. A method that learns
    # other things (a network) is an Objective with `meta_parameters` (meta/meta_weight_net.py).
    def __init__(self, scale: float = 2.0, momentum: float = 0.9, learn: bool = False) -> None:
        super().__init__()
        self.scale = Bounded("scale", scale, 0.0, learn=learn)
        self.momentum = Bounded("momentum", momentum, 0.0, 1.0)

    # Memory: called once, before training. What is remembered is a buffer, so that it is part of
    # every checkpoint; a resumed trial then has the same bits.
    def bind(self, info: PhaseInfo) -> None:
        self.memory = nn.Buffer(torch.zeros(info.rows, device=info.labels.device))

    # The one obligation: losses [B], one for each example, not reduced. Pure: it is called several
    # times in a step (in the look-ahead, too), so it changes nothing and draws nothing. Work on
    # logits (log_softmax, not log of softmax), and let soft labels in batch.y [B, K] count.
    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        hardness = self.memory[batch.index] / self.scale()
        return cross_entropy(outputs.logits, batch.y) / (1 + hardness**2)

    # After each step, without gradient. In place: `self.memory = ...` would lose it on a GPU, where
    # steps are recorded once and replayed. `losses` are this method's own, as trained on.
    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        now = cross_entropy(outputs.logits, batch.y)
        old = self.memory[batch.index]
        self.memory.index_copy_(0, batch.index, old.lerp(now, 1 - self.momentum()))

    # Other hooks, in methods/objective.py: `before_step` (mixup, relabelling, fresh weights; draw
    # from `generator(*batch.key, "purpose")`), `begin_epoch` (sampling weights), `predict` (if
    # predictions are not softmax), `train_parameters`, `needs_features`, `uses_unlabelled`,
    # `learned` (what to show).
