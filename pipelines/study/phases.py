"""A phase of an arm, and how it meta-learns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.documents import Json
from pipelines.study.method_loading import importable, without_family
from pipelines.study.search_space import Value
from pipelines.study.validation import Strict, added, identity

Engine = Literal[
    "forward",
    "finite_difference",
    "one_sided_difference",
    "double_backward",
    "forward_accumulation",
    "t1_t2",
    "neumann",
    "conjugate_gradient",
]
#: Engines that take the model for being at the minimum of its training loss: no look-ahead.
IMPLICIT: tuple[Engine, ...] = ("t1_t2", "neumann", "conjugate_gradient")


class Meta(Strict):
    """How a phase meta-learns: engine of the hypergradient, optimizer of the meta-parameters."""

    engine: Engine = "forward"
    lookahead: Literal["rollback", "alternating"] = "rollback"
    graph: Literal["recompute", "retain"] = Field(
        default="recompute",
        description="the training forward, for look-ahead and step: twice, or kept in memory",
    )
    last_layers: int | None = Field(
        default=None, ge=1, description="the look-ahead moves only the model's last k layers"
    )
    every: int = Field(default=1, ge=1, description="meta step at every k-th training step")
    batch_size: int = Field(default=100, ge=1)
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    step: Literal["plain", "own"] = added(
        "plain", description="of the look-ahead: SGD at the present rate, or the optimizer's own"
    )
    lookahead_rate: Annotated[float, Field(gt=0)] | Literal["momentum"] = added(
        1.0, description="of a plain step, in present rates; momentum: 1 / (1 - momentum)"
    )
    horizon: int = added(1, ge=1, le=100, description="how many steps the look-ahead takes")
    terms: int = added(
        5, ge=1, le=100, description="of neumann's series; iterations of conjugate_gradient"
    )
    damping: float = added(
        0.0, ge=0, description="added to the curvature by neumann and conjugate_gradient"
    )
    momentum: float = added(0.0, ge=0, lt=1, description="of sgd")
    nesterov: bool = added(False, description="of sgd")
    amsgrad: bool = added(False, description="of adam")
    decay: Literal["constant", "schedule"] = added(
        "constant", description="schedule: lr falls as the model's learning rate does"
    )
    source: Literal["meta", "pseudo_clean", "train"] = added(
        "meta",
        description="of the clean loss's examples: the meta split, or without clean labels those "
        "of the training split that the model finds easiest, or all of it",
    )
    per_class: int = added(10, ge=1, description="of pseudo_clean: examples of each class")
    loss: Literal["cross_entropy", "mae"] = added(
        "cross_entropy", description="the clean loss; mae: 2 (1 - p_y), robust to wrong labels"
    )

    @model_validator(mode="after")
    def _options_of_the_optimizer(self) -> Meta:
        for name, of in (("momentum", "sgd"), ("nesterov", "sgd"), ("amsgrad", "adam")):
            if getattr(self, name) and self.optimizer != of:
                raise ValueError(f"meta.{name} is an option of {of}, not of {self.optimizer}")
        if self.per_class != 10 and self.source != "pseudo_clean":
            raise ValueError(
                f"meta.per_class is an option of source pseudo_clean, not of {self.source}"
            )
        if self.nesterov and not self.momentum:
            raise ValueError("meta.nesterov needs meta.momentum > 0")
        series = ("neumann", "conjugate_gradient")
        for name, default in (("terms", 5), ("damping", 0)):
            if getattr(self, name) != default and self.engine not in series:
                raise ValueError(
                    f"meta.{name} is an option of {' and '.join(series)}, not of {self.engine}"
                )
        if self.lookahead_rate != 1 and (self.step == "own" or self.lookahead == "alternating"):
            raise ValueError(
                "meta.lookahead_rate is of a plain step, which step: own and alternating "
                "do not take"
            )
        return self


class Phase(Strict):
    """One stretch of training: a method on a pool of examples."""

    name: str = Field(default="train", pattern=r"^[a-z][a-z0-9_]*$")
    method: str = Field(description="module:class of an Objective")
    hyperparameters: dict[str, Value] = Field(default={})
    pool: Literal["train", "train+meta", "meta", "meta+val", "train+unlabelled"] = "train"
    meta_repeat: int = Field(
        default=1, ge=1, description="how often train+meta repeats the meta split"
    )
    epochs: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="length, as a fraction of the schedule's epochs, or steps",
    )
    start: Literal["fresh", "initial", "continue"] = Field(
        default="continue",
        description="with new weights, those that the first phase began with, or those there are",
    )
    epoch_size: Literal["pool", "train"] = added(
        "pool",
        description="of a pool without the training split: its own size, or that of the training "
        "split, so that the phase takes as many steps as others",
    )
    ema: float | None = added(
        None,
        gt=0,
        lt=1,
        description="decay of a moving average of the weights, which is then what is evaluated, "
        "saved and handed to the next phase",
    )
    schedule: dict[str, Any] = Field(
        {}, description="entries of the protocol's schedule, overridden"
    )
    meta: Meta = Field(default=Meta())

    @field_validator("method")
    @classmethod
    def _importable(cls, path: str) -> str:
        return importable(path)

    @model_validator(mode="after")
    def _epochs_are_a_fraction(self) -> Phase:
        for length in {"epochs", "steps"} & set(self.schedule):
            raise ValueError(
                f"schedule.{length} belongs to the protocol; a phase has `epochs`, a fraction of it"
            )
        return self


def phase_identity(phase: Phase) -> Json:
    """What tells a phase from others; in which family its method lives is no part of it."""
    return identity(phase) | {"method": without_family(phase.method)}
