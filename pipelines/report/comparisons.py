"""The tables of a report that compare arms: pairs, controls, and scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.analysis.estimate_schema import EstimateJson, IntervalJson
from pipelines.analysis.results_schema import (
    AdjustedPair,
    BreakEvenJson,
    ComparedArms,
    ControlPair,
    Pair,
    Regret,
    Results,
    ScenarioResults,
    WinProbability,
)
from pipelines.analysis.runs import LEVEL, MIN_UNITS
from pipelines.metrics import METRICS
from pipelines.report.tables import MISSING, Cell, Column, break_even, number

ALPHA = (1 - LEVEL) / 2  # of a one-sided test; what an interval's one end stands for
OWN = "the study's own"  # scenario
VERDICTS = ("superior", "non-inferior", "inconclusive", "inferior")

UNTUNED = Column("untuned", "untuned arm", "the arm that needs no tuning", numeric=False)
TUNED = Column("tuned", "tuned arm", "the arm it is compared with", numeric=False)
VERDICT = Column(
    "verdict",
    "verdict",
    "of that interval: superior (above 0), non-inferior (above minus the margin), inferior (below "
    "0) or inconclusive",
    numeric=False,
)
NEEDED = Column("more", "more", "about how many more repeats (or run seeds) would decide")


@dataclass(frozen=True)
class Comparisons:
    """A table with what is said of it; one without rows says in `about` why.

    fold, folded: the heading and the rows of what is shown on demand only.
    """

    name: str
    title: str
    about: str
    columns: Sequence[Column] = ()
    rows: Sequence[dict[str, Cell]] = ()
    fold: str = ""
    folded: Sequence[dict[str, Cell]] = ()


def comparisons(results: Results) -> list[Comparisons]:
    """The tables of a study, in the order of the page."""
    scenarios = results.get("scenarios")
    return [pairs(results), controls(results), aggregate(results, scenarios), transfer(scenarios)]


def pairs(results: Results) -> Comparisons:
    """Every untuned arm against every tuned one."""
    title = "Pairs"
    if not results["pairs"]:
        return Comparisons(
            "pairs", title, "Left out: the study has no pair of a tuned and an untuned arm."
        )
    adjusted = {(row["untuned"], row["tuned"]): row for row in results["holm"]}
    columns = [
        UNTUNED,
        TUNED,
        Column("labels", "clean labels", "whether both train on equally many", numeric=False),
        _difference(results, "untuned minus tuned, paired by run"),
        VERDICT,
        NEEDED,
        Column(
            "holm",
            "after Holm",
            "the verdict where the untuned arm's tuned rivals are one family, with the adjusted "
            "one-sided p; none: neither claim holds",
        ),
        Column("break_even", "b*", "break-even budget in random trials, 95 % interval"),
        Column("passes", "b*, passes", "the same in example passes, with the default's trial"),
        Column("stopped", "b*, stopped early", "b* had trials been stopped early, as simulated"),
        Column("stopped_passes", "b*, stopped early, passes", "the same in example passes"),
        Column("halved", "b*, halved space", "b* for a search in the centred half of each range"),
        Column("half", "P(win) at B/2", "chance that a run of the untuned arm beats a run of what "
               "half of the random trials select; lowest to highest repeat"),
        Column("full", "P(win) at B", "the same with all B random trials"),
    ]  # fmt: skip
    fair = [pair for pair in results["pairs"] if pair["same_clean_labels"]]
    unequal = [pair for pair in results["pairs"] if not pair["same_clean_labels"]]
    rows, folded = (
        [_pair(p, adjusted.get((p["untuned"], p["tuned"])), results) for p in pairs]
        for pairs in (fair or unequal, unequal if fair else [])
    )
    return Comparisons(
        "pairs",
        title,
        f"Non-inferior: by a margin of {number(results['metric'], results['margin'])}. “Better "
        "than some tuned arm” needs Holm's adjustment, “better than every one” does not. P(win) "
        "has no interval.",
        columns,
        rows,
        "Pairs that train on unequal clean labels, which compare more than the methods",
        folded,
    )


def _difference(results: Results, of: str) -> Column:
    metric = METRICS[results["metric"]]
    unit = "points" if metric.in_points else metric.unit
    heading = f"difference, {unit}" if unit else "difference"
    return Column("difference", heading, f"test score of {of}, 95 % interval")


def _pair(pair: Pair, adjusted: AdjustedPair | None, results: Results) -> dict[str, Cell]:
    wins = pair["win_probability"]
    last = len(wins) - 1
    b_star = pair["break_even"]
    return _verdict(pair, results["metric"]) | {
        "tuned": Cell(pair["tuned"]),
        "labels": Cell("same" if pair["same_clean_labels"] else "different"),
        "holm": _after_holm(adjusted),
        "break_even": break_even(b_star),
        "passes": _passes(b_star),
        "stopped": break_even(pair["break_even_stopped"]),
        "stopped_passes": _passes(pair["break_even_stopped"]),
        "halved": break_even(pair["break_even_halved_space"]),
        "half": _wins(wins[last // 2]) if wins else Cell(MISSING),
        "full": _wins(wins[last]) if wins else Cell(MISSING),
    }


def _verdict(pair: ComparedArms | ControlPair, metric: str) -> dict[str, Cell]:
    """The cells that every comparison has: a difference and what it shows."""
    verdict = Cell(MISSING)
    if pair["difference"]["mean"] is not None:
        verdict = Cell(pair["verdict"], VERDICTS.index(pair["verdict"]))
    return {
        "untuned": Cell(pair["untuned"]),
        "difference": interval(metric, pair["difference"]),
        "verdict": verdict,
        "more": _more(pair["more"], pair["unit"]),
    }


def _more(count: int | None, unit: str) -> Cell:
    if count is None:
        return Cell(MISSING)
    return Cell(f"{count} {unit.removesuffix('s') if count == 1 else unit}", count)


def interval(metric: str, difference: IntervalJson | Regret) -> Cell:
    """A difference with both ends of its interval, which need not lie evenly."""
    if difference["mean"] is None:
        return Cell(MISSING)
    mean, low, high = (number(metric, difference[end], "+") for end in ("mean", "low", "high"))
    text = f"{mean} (no interval)" if difference["low"] is None else f"{mean} [{low}, {high}]"
    return Cell(text, difference["mean"])


def _after_holm(adjusted: AdjustedPair | None) -> Cell:
    if adjusted is None:
        return Cell(MISSING)
    claims = {"superior": adjusted["p_superior"], "non-inferior": adjusted["p_noninferior"]}
    for rank, (verdict, p) in enumerate(claims.items()):
        if p < ALPHA:
            return Cell(f"{verdict} ({_p(p)})", rank + p)
    return Cell(f"none ({_p(p)})", len(claims) + p)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _passes(b_star: BreakEvenJson | None) -> Cell:
    """b* in example passes; what lies beyond the search was never paid for, so has no number."""
    if b_star is None:
        return Cell(MISSING)
    value, low, high = (
        "beyond" if b_star[end] is None else f"{b_star[end]:,.0f}"
        for end in ("passes", "passes_low", "passes_high")
    )
    text = f"{value} [{low}, {high}]" if b_star["interval"] else value
    return Cell(text, b_star["passes"])


def _wins(win: WinProbability) -> Cell:
    repeats, mean = win["by_repeat"], win["probability"]
    spread = f" ({min(repeats):.2f}–{max(repeats):.2f})" if len(repeats) > 1 else ""
    return Cell(f"{mean:.2f}{spread}", mean)


def controls(results: Results) -> Comparisons:
    """Every self-tuning arm against every simple use of the same clean labels."""
    title = "Self-tuning arms against controls"
    if not results["controls"]:
        return Comparisons(
            "controls", title, "Left out: the study has no pair of a self-tuning arm and a control."
        )
    columns = [
        Column("untuned", "self-tuning arm", "an untuned, meta-learned arm", numeric=False),
        Column("control", "control", "a simple use of clean labels", numeric=False),
        _difference(results, "self-tuning arm minus control, paired by run"),
        VERDICT,
        NEEDED,
    ]
    rows = [
        _verdict(pair, results["metric"]) | {"control": Cell(pair["control"])}
        for pair in results["controls"]
    ]
    about = (
        "Not adjusted for the number of comparisons. Where a control does as well, no "
        "meta-learning is needed."
    )
    return Comparisons("controls", title, about, columns, rows)


def aggregate(results: Results, scenarios: ScenarioResults | None) -> Comparisons:
    """One verdict per pair over all scenarios."""
    title = "Pairs over all scenarios"
    if scenarios is None:
        return Comparisons("aggregate", title, "Left out: the study has no axes.")
    if not scenarios["aggregate"]:
        why = f"no pair has {MIN_UNITS} repeats or more in every scenario"
        return Comparisons("aggregate", title, f"Left out: {why}.")
    columns = [
        UNTUNED,
        TUNED,
        _difference(results, "untuned minus tuned, mean over the scenarios"),
        VERDICT,
        NEEDED,
        Column("n", "n", "repeats over all scenarios / the fewest in one"),
    ]
    rows = [
        _verdict(pair, results["metric"])
        | {"tuned": Cell(pair["tuned"]), "n": _n(pair["difference"])}
        for pair in scenarios["aggregate"]
    ]
    about = (
        f"{len(scenarios['scenarios'])} scenarios, each weighted alike; 95 % intervals from "
        "bootstrap resamples of repeats within each (Agarwal et al. 2021), widened for few repeats."
    )
    return Comparisons("aggregate", title, about, columns, rows)


def _n(difference: EstimateJson) -> Cell:
    return Cell(f"{difference['n']} / {difference['repeats']}", difference["n"])


def transfer(scenarios: ScenarioResults | None) -> Comparisons:
    """What is lost by taking over a configuration from another scenario."""
    title = "Configurations taken over from another scenario"
    rows: list[dict[str, Cell]] = []
    if scenarios is None:
        return Comparisons("transfer", title, "Left out: the study has no axes.")
    metric = next(iter(scenarios["scenarios"].values()))["metric"]
    for entry in scenarios["transfer"]:
        rows += [
            {
                "arm": Cell(entry["arm"]),
                "from": Cell(regret["from"] or OWN),
                "to": Cell(regret["to"] or OWN),
                "regret": interval(metric, regret),
                "n": Cell(str(regret["n"]), regret["n"]),
            }
            for regret in entry["regret"]
        ]
    if not rows:
        why = "no tuned arm has retrained the same configurations in every scenario"
        return Comparisons("transfer", title, f"Left out: {why}.")
    columns = [
        Column("arm", "tuned arm", "whose configuration is taken over", numeric=False),
        Column("from", "selected on", "the scenario whose val selected it", numeric=False),
        Column("to", "used on", "the scenario whose test set scores it", numeric=False),
        Column("regret", "regret", "test score of that scenario's own selection minus its score"),
        Column("n", "n", "repeats"),
    ]
    about = "Mean over repeats with its 95 % interval. Regret 0: tuning anew would win nothing."
    return Comparisons("transfer", title, about, columns, rows)
