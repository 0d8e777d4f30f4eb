"""What statistics are made of: the records of a study's trials, and what its file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from pipelines.analysis.answer_schema import RunCounts
from pipelines.collapse import Signs, spoiled
from pipelines.documents import Json
from pipelines.stored_predictions import Confusion
from pipelines.trial_documents import Role

EpochRule = Literal["last", "selected"]
SearchKind = str
"""random, another of the protocol's names, or the `module:sampler` of a study's own."""
Range = Mapping[str, Any]
"""A tuned hyperparameter: {"low", "high", "log", "int"} or {"choices"}."""


class HeldOut(NamedTuple):
    """What is known of a run's predictions on test, with the weights of one epoch rule.

    confusion, correct: which examples were classified right; both as in
    `pipelines.stored_predictions`, correct is None in results of version 0.1. metrics: values by
    name.
    """

    confusion: Confusion
    correct: str | None
    metrics: Mapping[str, float] = MappingProxyType({})


class Course(NamedTuple):
    """How a trial went, epoch by epoch: what early stopping would have gone by.

    val: what would select if it were the last epoch, under the study's epoch rule; of epochs that
    came to one. passes: so far, of each epoch. epochs: planned, of all phases together.
    """

    val: tuple[float, ...]
    passes: tuple[float, ...]
    epochs: int

    def has_come_to(self, epoch: int) -> bool:
        """Whether it has a val of that epoch."""
        return len(self.val) >= epoch


@dataclass(frozen=True)
class Record:
    """One finished trial in one role; a trial that serves two roles gives two records, one `key`.

    `config` holds the tuned values only, by dotted address. `val` is the selection score under the
    study's epoch rule, `test` has one score per epoch rule; both are the worst score where the run
    diverged and nan where it failed. `passes` counts example passes: forward 1, backward 2,
    forward mode 3. Of a failed or diverged run nothing is `held_out`. `best_val` is the highest
    val of its epochs, `last_val` that of the last one. `steps`: of training, planned.
    `collapse`: the signs of collapse of the epoch whose weights count; None in results of 0.1.
    `course`: of a search trial; None where its history was not read, or is gone.
    `scores_on_val`: of the same trials, by metric, of the epoch that counts; empty where unknown.
    `common`: run under common values that were chosen for the arm, or to choose them.
    `stopped_epoch`: at which a search trial was stopped early; then `val` and `test` are nan, so
    that it is never selected, and `last_val` and `best_val` are those of that epoch.
    """

    key: str
    arm: str
    role: Role
    repeat: int
    index: int
    config: dict[str, float | int | str]
    status: str
    val: float
    test: dict[str, float]
    passes: int
    seconds: float
    clean_train: int
    clean_select: int
    data_seed: int
    run_seed: int
    held_out: Mapping[EpochRule, HeldOut] = field(default_factory=dict)
    last_val: float = nan
    best_val: float = nan
    steps: int | None = None
    collapse: Signs | None = None
    course: Course | None = None
    scores_on_val: Mapping[str, float] = field(default_factory=dict)
    stopped_epoch: int | None = None
    common: bool = False

    @property
    def collapsed(self) -> bool:
        """Whether its model is no use, as far as that is known."""
        return spoiled(self.collapse)


class ArmInfo(TypedDict):
    """What the study file says of an arm; `planned` counts its trials where the caller knows.

    stopping: the rule by which trials of its searches are stopped early, where they are.
    warm_start: configurations that its searches begin with after the default, where there are some.
    """

    kind: str
    about: NotRequired[str]
    tuned: bool
    space: dict[str, Range]
    default: Json
    planned: NotRequired[int]
    stopping: NotRequired[str]
    warm_start: NotRequired[int]


class CommonSpace(TypedDict):
    """The common knobs, and how many trials choose them, beside the study's own values."""

    space: dict[str, Range]
    trials: int


class StudyInfo(TypedDict):
    """What the study file says of a study; `margin` is in units of the metric.

    second_aim: what searches go by beside val, where they do.
    common: the common knobs with their ranges, and the trials that choose them, where some are.
    beside: metrics that are shown beside the scored one; runs: that have ended and that are
    planned, in all scenarios. Both where the caller knows.
    """

    metric: str
    epoch: EpochRule
    search: SearchKind
    second_aim: NotRequired[str]
    margin: float
    arms: dict[str, ArmInfo]
    common: NotRequired[CommonSpace]
    beside: NotRequired[list[str]]
    runs: NotRequired[RunCounts]


def draws_curves(info: StudyInfo, arm: str) -> bool:
    """Whether budget curves are drawn of an arm: of random searches whose trials all ran whole.

    And of which none was given: they have to be exchangeable.
    """
    return info["search"] == "random" and not {"stopping", "warm_start"} & info["arms"][arm].keys()
