"""The answer of a study as results.json has it: typed numbers, and the sentences made of them."""

from typing import Literal, NotRequired, TypedDict

from pipelines.collapse import Sign

Claim = Literal[
    "better", "as good", "slightly worse", "worse", "far worse", "undecided", "no interval"
]
"""What an interval of a difference shows, by 0 and by the margin; see `words.claim_of`."""

Trouble = Sign | Literal["collapsed", "some collapsed", "far below", "diverged", "starved"]

Scope = Literal["new examples", "these examples", "none"]
"""What an interval speaks of: new examples of this kind, or these test examples alone."""


class Gap(TypedDict):
    """An arm minus another one (or, of `over` = "default", minus its own default)."""

    arm: str
    over: str
    mean: float | None
    low: float | None
    high: float | None
    scope: Scope
    repeats: int
    claim: Claim
    text: str


class Use(TypedDict):
    """What to use: `arm`; `best` has the highest val, `gap` is what `arm` scores more than it.

    `decided`: whether any arm can be compared with the best; else `arm` is what leads on val.

    `alike`: the arms that score within the margin of the best. `open`: simpler ones with a lower
    mean, of which it is not shown that they are worse by more than the margin.
    """

    arm: str
    best: str
    gap: Gap | None
    alike: list[str]
    decided: bool
    open: list[Gap]
    sentence: str


class Tuning(TypedDict):
    """What tuning a tuned arm buys over its published default."""

    arm: str
    gain: Gap
    default_won: int
    searches: int
    sentence: str


class SelfTuning(TypedDict):
    """What the self-tuning arm buys over each opponent, and for how many times ce's passes."""

    arm: str
    gaps: list[Gap]
    cost: float | None
    sentence: str


class Caution(TypedDict):
    """Something that went wrong, or that makes a comparison unfair."""

    trouble: Trouble
    arm: str | None
    text: str


class CommonAnswer(TypedDict):
    """The answer under the study's own values of the common knobs; what choosing them changed."""

    gap: Gap | None
    sentence: str


class Line(TypedDict):
    """A line of the answer box, and the question that it answers."""

    question: str
    text: str


class RunCounts(TypedDict):
    """Runs that have ended and that are planned, in all scenarios."""

    done: int
    planned: int


class Answer(TypedDict):
    """The answer at a glance; `lines`, `basis` and `warnings` are what has to be shown of it."""

    lines: list[Line]
    basis: str
    warnings: list[Caution]
    use: Use | None
    tuning: str | None
    tunings: list[Tuning]
    self_tuning: SelfTuning | None
    common: NotRequired[CommonAnswer]
