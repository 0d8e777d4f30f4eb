"""Words for numbers: pure functions, so that no sentence says more than its interval does."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isclose, isnan

from pipelines.analysis.answer_schema import Claim
from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.results_schema import Selection
from pipelines.analysis.runs import MIN_UNITS
from pipelines.metrics import METRICS, PASSES

TOO_FEW, SAME = "too few repeats", "the same in all repeats"
ROUNDING = 1e-12
EXTRA_DIGITS = 4  # at most so many more, to tell a number from 0 or from the margin


def claim_of(low: float | None, high: float | None, margin: float) -> Claim:
    """What the interval of a difference shows; all of it must say so.

    better: above 0. as good: above -margin. slightly worse: below 0 and above -margin.
    far worse: below -margin. worse: below 0. undecided: none of these. no interval: no ends.
    """
    if low is None or high is None:
        return "no interval"
    if low > 0:
        return "better"
    if low > -margin:
        return "slightly worse" if high < 0 else "as good"
    if high < -margin:
        return "far worse"
    return "worse" if high < 0 else "undecided"


def count(n: float, noun: str) -> str:
    """1 run, 2 runs; 2 searches."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{n:g} {noun if n == 1 else plural}"


def listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def title(about: str) -> str:
    """What a study file says of an arm, without the reference and the word control."""
    return re.sub(r" \([^()]*\d{4}\)", "", about).removeprefix("control: ")


def shown(
    metric: str, values: Sequence[float], limits: Sequence[float] = (), sign: str = ""
) -> list[str]:
    """Scores or differences in the units shown, with as many digits as tell them from `limits`.

    An end of an interval at 0.0004 is not shown as 0.0 where it matters that it is above 0.
    """
    scale, digits = METRICS[metric].scale, 1 if METRICS[metric].in_points else 4
    texts: list[str] = []
    for extra in range(EXTRA_DIGITS):
        texts = [f"{scale * value:{sign}.{digits + extra}f}" for value in values]
        # Numbers, not texts: -0.0 is 0.
        edges = {round(scale * limit, digits + extra) for limit in limits}
        if not any(
            float(t) in edges and v not in limits for t, v in zip(texts, values, strict=True)
        ):
            break
    return texts


def why_none(estimate: IntervalJson) -> str:
    """Why an estimate has no interval: too few repeats, or all of them are the same."""
    sd, repeats = estimate["sd"], estimate["repeats"]
    same = repeats >= MIN_UNITS and sd is not None and abs(sd) < ROUNDING
    return SAME if same else TOO_FEW


def with_interval(
    mean: float,
    low: float | None,
    high: float | None,
    form: Callable[[float], str],
    why: str = TOO_FEW,
) -> str:
    """94.8 ± 1.1; where the ends do not lie evenly, since a bound cuts one off, 99.5 [98.7, 100.0].

    form: how a number is written. Without an interval: 94.8 (too few repeats), or whatever `why`.
    """
    if low is None or high is None or isnan(low):
        return f"{form(mean)} ({why})"
    if isclose(high - mean, mean - low, rel_tol=1e-6):
        return f"{form(mean)} ± {form(high - mean)}"
    return f"{form(mean)} [{form(low)}, {form(high)}]"


def unit(metric: str) -> str:
    """Of differences: points of 100 for fractions."""
    shown_as = METRICS[metric]
    return "points" if shown_as.in_points else shown_as.unit or metric


def aim_name(aim: str) -> str:
    """A second aim: passes, or a metric's label."""
    return PASSES if aim == PASSES else METRICS[aim].label


def aim_title(aim: str) -> str:
    """A second aim with its unit, for a heading or an axis."""
    return "passes of a run" if aim == PASSES else f"val {METRICS[aim].title}"


def search_name(selection: Selection) -> str:
    """A kind of search, with what it goes by where that is more than val."""
    aim = selection.get("second_aim")
    return selection["search"] + (f" by val and {aim_name(aim)}" if aim else "")


def configuration(config: Mapping[str, object]) -> str:
    """Hyperparameters with their values, in one line."""
    texts = {n: f"{v:.4g}" if isinstance(v, float) else str(v) for n, v in config.items()}
    return ", ".join(f"{name} = {text}" for name, text in texts.items())
