"""What a study says of the attack by which its models are judged."""

from __future__ import annotations

from typing import Literal

from pipelines.study.validation import Strict, added


class Attack(Strict):
    """What inputs are perturbed with for `robust_accuracy`; the same for all arms.

    Lengths are in ranges of a pixel for images (their bytes over 255), in standard deviations of
    the feature for tables.
    """

    name: Literal["pgd"] = added("pgd", description="projected gradient ascent")
    norm: Literal["linf", "l2"] = added("linf", description="of the ball around an input")
    epsilon: float = added(..., ge=0, description="radius of the ball")
    step: float | None = added(None, gt=0, description="none: a quarter of epsilon")
    steps: int = added(10, ge=1, le=10_000)
    start: Literal["random", "zero"] = added("random", description="where in the ball it starts")

    @property
    def stride(self) -> float:
        """The length of a step."""
        return self.epsilon / 4 if self.step is None else self.step
