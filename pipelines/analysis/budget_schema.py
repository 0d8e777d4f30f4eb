"""What a search buys, as results.json has it: with budgets, and with early stopping."""

from typing import Literal, TypedDict

from pipelines.analysis.estimate_schema import IntervalJson


class Incumbent(TypedDict):
    """A trial that improved on the best val of its search."""

    repeat: int
    budget: int
    val: float | None
    test: float | None


class BudgetPoint(IntervalJson):
    """Expected test score of what a search of `budget` random trials selects."""

    budget: int
    passes: float


class Budget(TypedDict):
    """The budget curve of a random search, or the incumbents of another kind."""

    kind: Literal["expected", "incumbents"]
    incumbents: list[Incumbent]
    curve: list[BudgetPoint]


class StoppedBy(TypedDict):
    """What a rule for early stopping would have made of the whole searches."""

    rule: str
    budget: int
    score: IntervalJson
    difference: IntervalJson
    passes_saved: IntervalJson
    same: float


class Stopping(TypedDict):
    """What a rule that stopped trials of the searches really did."""

    rule: str
    trials: int
    stopped: int
    passes_saved: IntervalJson


class RankAgreement(IntervalJson):
    """Rank correlation of val at a share of the epochs with the last one's, over the trials."""

    share: float


class EarlyStopping(TypedDict):
    """What early stopping would have done to a random search: simulated, nothing was stopped."""

    curve: list[BudgetPoint]
    rules: list[StoppedBy]
    ranks: list[RankAgreement]
