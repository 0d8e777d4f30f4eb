"""The main table of a report, as text: one wording for Markdown, page and W&B."""

from dataclasses import dataclass
from functools import partial

from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.results_schema import (
    ArmResults,
    BreakEvenJson,
    EstimateJson,
    Results,
    TrialCounts,
)
from pipelines.analysis.words import count, listed, search_name, why_none, with_interval
from pipelines.kinds import is_oracle
from pipelines.metrics import METRICS

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column's heading, what it means, and whether it holds numbers."""

    name: str
    heading: str
    meaning: str
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number it sorts by (None: by its text, or last in numbers)."""

    text: str
    order: float | None = None


def number(metric: str, value: float | None, sign: str = "") -> str:
    """A score or a difference of scores, in the units shown."""
    if value is None:
        return MISSING
    shown = METRICS[metric]
    return f"{shown.scale * value:{sign}.{1 if shown.in_points else 3}f}"


def score(metric: str, estimate: IntervalJson) -> str:
    """A mean with its 95 % interval for these test examples; says so where there is none."""
    if estimate["mean"] is None:
        return MISSING
    ends = estimate["low"], estimate["high"]
    form = partial(number, metric)
    return with_interval(estimate["mean"], *ends, form, why_none(estimate))


def new_interval(metric: str, estimate: EstimateJson) -> Cell:
    """The 95 % interval for new examples of this kind."""
    low, high = estimate["new_low"], estimate["new_high"]
    if low is None or high is None:
        return Cell(MISSING)
    return Cell(f"[{number(metric, low)}, {number(metric, high)}]", low)


def beside(results: Results) -> list[str]:
    """The metrics that are shown beside the scored one."""
    return list(next((arm.get("beside", {}) for arm in results["arms"].values()), {}))


def columns(results: Results) -> list[Column]:
    """The columns of the main table."""
    metric, headline = METRICS[results["metric"]].title, results["headline"]
    against = ""
    if headline["tuned"] and headline["untuned"]:
        against = (
            f"; of a tuned arm against {headline['untuned']}, "
            f"of another one that {headline['tuned']} needs against it"
        )
    return [
        Column("arm", "arm", "what is compared", numeric=False),
        Column("kind", "kind", "what sort of method it is", numeric=False),
        Column(
            "test",
            f"test {metric}",
            "mean over repeats of the final runs, with its 95 % interval for these test examples",
        ),
        Column("new", "new examples", "the same interval for new examples of this kind"),
        *_at_study_values(results),
        *(
            Column(name, f"test {METRICS[name].title}", "of the same runs, chosen as they are")
            for name in beside(results)
        ),
        Column("n", "n", "final runs / repeats"),
        Column("labels", "clean labels", "used to train / to select configurations and epochs"),
        Column("default", "default", "test of the published default, retrained alike"),
        Column("break_even", "b*", f"break-even budget in random trials, 95 % interval{against}"),
        Column("dimensions", "tuned", "number of hyperparameters that the search tunes"),
        Column("steps", "steps", "training steps of one run"),
        Column("ratio", "passes", "example passes of one run, relative to ce"),
        Column("lost", "lost", "trials that collapsed / diverged / failed"),
    ]


def _at_study_values(results: Results) -> list[Column]:
    """The column beside the scores under common values that were chosen."""
    if "common" not in results:
        return []
    knobs = listed(list(results["common"]["space"]))
    about = f"test score with the study's own values of {knobs}; before it one rule chose them"
    return [Column("study", "study's values", about)]


def _plain(name: str, results: Results) -> Cell:
    if "at_study_values" not in results:
        return Cell(MISSING)
    test = results["at_study_values"]["arms"][name]["test"][results["selection"]["epoch"]]
    return Cell(score(results["metric"], test), test["mean"])


def rows(results: Results) -> list[dict[str, Cell]]:
    """One row per arm, in the study's order."""
    return [_row(name, arm, results) for name, arm in results["arms"].items()]


def _row(name: str, arm: ArmResults, results: Results) -> dict[str, Cell]:
    metric, epoch = results["metric"], results["selection"]["epoch"]
    test, trials = arm["test"][epoch], arm["trials"]
    default = arm["default"]["test"][epoch] if "default" in arm else None
    ratio = arm["passes"]["ratio_to_ce"]
    return {
        "arm": Cell(name),
        "kind": Cell(arm["kind"]),
        "dimensions": Cell(str(len(arm["space"]) or MISSING), len(arm["space"])),
        "labels": _labels(arm),
        "test": Cell(score(metric, test), test["mean"]),
        "n": Cell(f"{test['n']} / {test['repeats']}", test["n"]),
        "default": Cell(score(metric, default), default["mean"]) if default else Cell(MISSING),
        "break_even": _break_even(name, results),
        "new": new_interval(metric, test),
        "study": _plain(name, results),
        **{m: Cell(score(m, e), e["mean"]) for m, e in arm.get("beside", {}).items()},
        "steps": Cell(f"{arm['steps']:g}", arm["steps"]) if arm["steps"] else Cell(MISSING),
        "ratio": Cell(f"{ratio:.1f}x", ratio) if ratio else Cell(MISSING),
        "lost": _lost(trials),
    }


def _labels(arm: ArmResults) -> Cell:
    """Clean labels to train and to select; what an oracle reads is not counted, but named."""
    train, select = arm["clean_labels"]["train"], arm["clean_labels"]["select"]
    if is_oracle(arm["kind"]):
        return Cell(f"truth / {MISSING if select is None else select}")
    return _pair(train, select)


def _pair(first: int | None, second: int | None) -> Cell:
    texts = [MISSING if value is None else str(value) for value in (first, second)]
    return Cell(" / ".join(texts), None if first is None else first + (second or 0) / 1e6)


def _lost(trials: TrialCounts) -> Cell:
    counts = [trials["collapsed"], trials["diverged"], trials["failed"]]
    return Cell(" / ".join(map(str, counts)), sum(counts))


def _break_even(name: str, results: Results) -> Cell:
    """b* against the arm that the headline puts on the other side."""
    headline = results["headline"]
    for pair in results["pairs"]:
        sides = (pair["tuned"], pair["untuned"])
        if sides in ((name, headline["untuned"]), (headline["tuned"], name)):
            return break_even(pair["break_even"])
    return Cell(MISSING)


def break_even(b_star: BreakEvenJson | None) -> Cell:
    """b* with its interval; what lies beyond the search sorts after all of it."""
    if b_star is None:
        return Cell(MISSING)
    order = b_star["largest"] + 1 if b_star["budget"] is None else b_star["budget"]
    beyond = f"> {b_star['largest']}"
    value, low, high = (
        beyond if b_star[end] is None else f"{b_star[end]:g}" for end in ("budget", "low", "high")
    )
    if not b_star["interval"]:
        searches = count(b_star["repeats"], "search")
        return Cell(f"{value} (no interval: {searches})", order)
    return Cell(f"{value} [{low}, {high}]", order)


def selection_rule(results: Results) -> str:
    """How configurations and weights were chosen, in words."""
    selection = results["selection"]
    return (
        f"Configurations: {selection['rule']}; {search_name(selection)} search. Weights: of the "
        f"{selection['epoch']} epoch, for search and report of all arms. ± is half a 95 % interval "
        "over repeats, from three on; with one repeat over its run seeds, and then speaks of that "
        "data seed only."
    )
