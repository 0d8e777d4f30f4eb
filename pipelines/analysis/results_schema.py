"""The content of results.json, typed; docs/results.md says what every field means.

Where a number is `float | None`, null stands for one that does not exist.
"""

from typing import Any, NotRequired, TypedDict

from pipelines.analysis.answer_schema import Answer, RunCounts
from pipelines.analysis.budget_schema import Budget, EarlyStopping, Stopping
from pipelines.analysis.estimate_schema import (
    ByEpochRule,
    ComparisonJson,
    EstimateJson,
    IntervalJson,
    LabelNoise,
)
from pipelines.analysis.fronts import Front
from pipelines.analysis.record import CommonSpace, EpochRule, Range, SearchKind
from pipelines.collapse import Sign
from pipelines.documents import Json


class CleanLabels(TypedDict):
    """Clean labels used; none of an arm without records."""

    train: int | None
    select: int | None


class TrialCounts(TypedDict):
    """Runs of an arm in all roles; `shared` ones are another role's trial.

    `collapsed` ones are among the completed; `stopped` ones were, early, in a search.
    """

    planned: int
    completed: int
    collapsed: int
    diverged: int
    failed: int
    stopped: int
    shared: int


class Passes(TypedDict):
    """Example passes of one final run and of one whole search."""

    run: float | None
    search: float | None
    ratio_to_ce: float | None


class Seconds(TypedDict):
    """Seconds of one final run and of one whole search."""

    run: float | None
    search: float | None


class Selected(TypedDict):
    """What the search of one repeat selected."""

    repeat: int
    index: int
    config: Json
    val: float | None


class Default(TypedDict):
    """The published default, run with the final runs' seeds."""

    config: Json
    val: EstimateJson
    test: ByEpochRule


class MovedValue(TypedDict):
    """One value of a knob that was moved alone."""

    value: Any
    factor: float | None
    diverged: int
    test: EstimateJson


class Sensitivity(TypedDict):
    """A knob that was moved alone."""

    knob: str
    values: list[MovedValue]
    worst: float | None
    spread: float | None
    gain: float | None
    gain_by_repeat: list[float | None]


class ChosenValues(TypedDict):
    """Values of the common knobs that an arm got in a repeat; none: the study's own."""

    repeat: int
    index: int
    values: Json
    val: float | None
    trials: int


class CommonKnobs(TypedDict):
    """What one rule for all arms chose for an arm, what a choice costs, and what it changed."""

    chosen: list[ChosenValues]
    passes: float | None
    seconds: float | None
    gain: EstimateJson


class KnobGain(TypedDict):
    """What a hyperparameter adds to val on the way from the default to what was selected."""

    knob: str
    gain: IntervalJson


class ArmResults(TypedDict):
    """One arm; what only a tuned one has is not required."""

    kind: str
    about: str
    tuned: bool
    space: dict[str, Range]
    clean_labels: CleanLabels
    trials: TrialCounts
    val: EstimateJson
    test: ByEpochRule
    collapse: dict[Sign, int]
    steps: float | None
    passes: Passes
    sensitivity: list[Sensitivity]
    selected: NotRequired[list[Selected]]
    default: NotRequired[Default]
    tunability: NotRequired[EstimateJson]
    budget: NotRequired[Budget]
    early_stopping: NotRequired[EarlyStopping]
    stopping: NotRequired[Stopping]
    warm_start: NotRequired[int]
    importance: NotRequired[dict[str, float] | None]
    variance_shares: NotRequired[dict[str, float] | None]
    ablation: NotRequired[list[KnobGain] | None]
    fronts: NotRequired[list[Front]]
    beside: NotRequired[dict[str, EstimateJson]]
    common: NotRequired[CommonKnobs]


class BreakEvenJson(TypedDict):
    """The break-even budget b* of a pair, and what it costs."""

    label: str
    budget: float | None
    low: float | None
    high: float | None
    interval: bool
    largest: int
    trials: float | None
    passes: float | None
    passes_low: float | None
    passes_high: float | None
    passes_saved: float | None
    repeats: int


class WinProbability(TypedDict):
    """Chance that the untuned arm beats what the tuned one selects at a budget."""

    budget: int
    probability: float
    by_repeat: list[float]


class ComparedArms(ComparisonJson):
    """An untuned arm minus a tuned one."""

    tuned: str
    untuned: str


class Pair(ComparedArms):
    """An untuned arm against a tuned one, with the budget at which the latter breaks even."""

    same_clean_labels: bool
    by_repeat: list[float | None]
    break_even: BreakEvenJson | None
    break_even_halved_space: BreakEvenJson | None
    break_even_stopped: BreakEvenJson | None
    win_probability: list[WinProbability]


class ControlPair(ComparisonJson):
    """A self-tuning arm minus a control."""

    untuned: str
    control: str


class AdjustedPair(TypedDict):
    """Holm's p-values of a pair."""

    untuned: str
    tuned: str
    p_superior: float
    p_noninferior: float


class BreakEvenSeconds(TypedDict):
    """Seconds of a search up to b*."""

    tuned: str
    untuned: str
    seconds: float


class Cost(TypedDict):
    """Seconds: by arm, of the break-even budgets, and in all."""

    arms: dict[str, Seconds]
    break_even: list[BreakEvenSeconds]
    total: float | None


class Selection(TypedDict):
    """How configurations and weights are chosen."""

    rule: str
    epoch: EpochRule
    search: SearchKind
    second_aim: NotRequired[str]


class Headline(TypedDict):
    """The answer in words, and the arms it is about."""

    sentences: list[str]
    untuned: str | None
    tuned: str | None


Regret = TypedDict(
    "Regret",
    {
        "from": str,
        "to": str,
        "mean": float | None,
        "low": float | None,
        "high": float | None,
        "new_low": float | None,
        "new_high": float | None,
        "sd": float | None,
        "n": int,
        "repeats": int,
        "failed": int,
    },
)
"""An estimate of what is lost on scenario `to` by what was selected on `from`."""


class Transfer(TypedDict):
    """How well a tuned arm's configurations carry over between scenarios."""

    arm: str
    regret: list[Regret]


class ScenarioResults(TypedDict):
    """A study over several scenarios: each one's results, and what holds over all of them."""

    scenarios: dict[str, "Results"]
    aggregate: list[ComparedArms]
    transfer: list[Transfer]


class Results(TypedDict):
    """The content of results.json."""

    schema: int
    metric: str
    selection: Selection
    margin: float
    arms: dict[str, ArmResults]
    pairs: list[Pair]
    holm: list[AdjustedPair]
    controls: list[ControlPair]
    missing: list[str]
    cost: Cost
    provenance: Json
    runs: RunCounts
    answer: Answer
    headline: Headline
    label_noise: NotRequired[LabelNoise]
    scenarios: NotRequired[ScenarioResults]
    common: NotRequired[CommonSpace]
    at_study_values: NotRequired["Results"]
