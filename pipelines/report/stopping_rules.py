"""The tables of what rules for early stopping would have saved, and lost; and of what they did."""

from pipelines.analysis.budget_schema import EarlyStopping, StoppedBy
from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.results_schema import Results
from pipelines.metrics import METRICS
from pipelines.report.comparisons import Comparisons, interval
from pipelines.report.tables import Cell, Column, score

TITLE, STOPPED_TITLE = "Rules that stop trials early", "Searches whose trials were stopped early"


def stopping_rules(results: Results) -> Comparisons:
    """Every rule on the searches of the verdict's tuned arm; those of other arms are folded."""
    entries: dict[str, EarlyStopping] = {
        name: entry
        for name, arm in results["arms"].items()
        if (entry := arm.get("early_stopping")) and entry["rules"]
    }
    if not entries:
        why = "no random search has val per epoch, and runs of all its configurations anew"
        return Comparisons("stopping", TITLE, f"Left out: {why}.")
    metric = METRICS[results["metric"]]
    points = ", points" if metric.in_points else f", {metric.unit}" if metric.unit else ""
    columns = [
        Column("arm", "tuned arm", "whose searches they are", numeric=False),
        Column("rule", "rule", "when a trial is stopped", numeric=False),
        Column("saved", "passes saved, %", "of the whole search's, mean over repeats"),
        Column("score", f"test {metric.title}", "of what is then selected, retrained"),
        Column("difference", f"difference{points}", "to what is selected without the rule"),
        Column("same", "same", "how often both select the same configuration"),
        Column("n", "n", "repeats"),
    ]
    tuned = results["headline"]["tuned"]
    first = tuned if tuned in entries else next(iter(entries))
    rows, folded = (
        [_row(name, rule, results["metric"]) for name in names for rule in entries[name]["rules"]]
        for names in ([first], [name for name in entries if name != first])
    )
    about = (
        "Simulated on the val per epoch of trials that all ran to their end; nothing was stopped. "
        "A search of all random trials, after the default; intervals at 95 %, over repeats. The "
        "first rule is that of the curve, of b* and of the verdict."
    )
    return Comparisons("stopping", TITLE, about, columns, rows, "The other tuned arms", folded)


def stopped_searches(results: Results) -> list[Comparisons]:
    """The searches whose trials really were stopped early, where there are any."""
    rows = [
        {
            "arm": Cell(name),
            "rule": Cell(stopping["rule"]),
            "stopped": Cell(
                f"{stopping['stopped']} of {stopping['trials']}", float(stopping["stopped"])
            ),
            "saved": _share(stopping["passes_saved"]),
        }
        for name, arm in results["arms"].items()
        if (stopping := arm.get("stopping"))
    ]
    columns = [
        Column("arm", "tuned arm", "whose searches they are", numeric=False),
        Column("rule", "rule", "by which a trial is stopped", numeric=False),
        Column("stopped", "stopped", "trials, of those of all searches that have ended or stopped"),
        Column("saved", "passes saved, %", "of the whole search's, mean over repeats"),
    ]
    about = (
        "What is stopped is never selected, and its checkpoint is kept: a larger search, or one "
        "that is not stopped, goes on from it. There are no budget curves and no b* of such "
        "searches. Saved: had each stopped trial gone on at what it cost until then; intervals at "
        "95 %, over repeats."
    )
    return [Comparisons("stopped", STOPPED_TITLE, about, columns, rows)] if rows else []


def _row(arm: str, by: StoppedBy, metric: str) -> dict[str, Cell]:
    return {
        "arm": Cell(arm),
        "rule": Cell(by["rule"]),
        "saved": _share(by["passes_saved"]),
        "score": Cell(score(metric, by["score"]), by["score"]["mean"]),
        "difference": interval(metric, by["difference"]),
        "same": Cell(f"{by['same']:.0%}", by["same"]),
        "n": Cell(str(by["score"]["repeats"]), by["score"]["repeats"]),
    }


def _share(saved: IntervalJson) -> Cell:
    """Without an interval where it is the same in all repeats, as with equally long trials."""
    mean, low, high = ((saved[end] or 0) * 100 for end in ("mean", "low", "high"))
    text = f"{mean:.0f}" if saved["low"] is None else f"{mean:.0f} [{low:.0f}, {high:.0f}]"
    return Cell(text, saved["mean"])
