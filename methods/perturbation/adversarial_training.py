"""Adversarial training: with several steps of an attack, or with one.

Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
Rice, Wong & Kolter, "Overfitting in adversarially robust deep learning", ICML 2020.
Wong, Rice & Kolter, "Fast is better than free: revisiting adversarial training", ICLR 2020.
"""

from dataclasses import replace

from torch import Tensor

from methods.objective import (
    Batch,
    ModelCall,
    Objective,
    Outputs,
    PhaseInfo,
    cross_entropy,
    generator,
)
from methods.scalar_loss import Bounded


class AdversarialTraining(Objective):
    """Cross-entropy on inputs that gradient ascent has perturbed, from a random start in the ball.

    The threat (norm, epsilon, range of the inputs) is that of the protocol's attack. radius: of the
    ball, in its epsilons; 0 is plain cross-entropy. step: of the ascent, in radii; steps: how many;
    1 of length 1.25 is fast adversarial training. As in the authors' code the model is in training
    mode; other than there, its BatchNorm statistics see the training forward alone.
    """

    needs_threat = True

    def __init__(self, radius: float = 1.0, step: float = 0.25, steps: int = 10) -> None:
        super().__init__()
        self.radius = Bounded("radius", radius, 0.0)
        self.step = Bounded("step", step, 0.0)
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps = {steps!r} must be a whole number from 1 on")
        self.steps = steps

    @property
    def extra_passes(self) -> int:
        return 2 * self.steps

    def bind(self, info: PhaseInfo) -> None:
        self.threat = info.threat

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        assert self.threat is not None
        threat = replace(self.threat, epsilon=self.radius.value * self.threat.epsilon)

        def loss(x: Tensor) -> Tensor:
            return cross_entropy(model(x).logits, batch.y).sum()

        start = threat.random(batch.x, generator(*batch.key, "attack"))
        stride = self.step.value * threat.epsilon
        return replace(batch, x=threat.ascend(batch.x, loss, stride, self.steps, start))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)
