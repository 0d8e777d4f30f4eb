"""The table of common knobs: both columns for every arm, and what was chosen."""

from pipelines.analysis.results_schema import ArmResults, CommonKnobs, Results
from pipelines.analysis.words import count, listed
from pipelines.documents import Json
from pipelines.metrics import METRICS
from pipelines.report.comparisons import Comparisons, interval
from pipelines.report.set_up import range_text
from pipelines.report.tables import MISSING, Cell, Column, score

TITLE = "Common knobs by one rule"


def common_values(results: Results) -> list[Comparisons]:
    """A row for each arm, where common knobs are chosen."""
    if "common" not in results or "at_study_values" not in results:
        return []
    metric, plain = METRICS[results["metric"]], results["at_study_values"]["arms"]
    points = ", points" if metric.in_points else f", {metric.unit}" if metric.unit else ""
    knobs = results["common"]["space"]
    columns = [
        Column("arm", "arm", "what is compared", numeric=False),
        Column("study", "study's values", f"test {metric.title} with the study's own values"),
        Column("chosen", "by the rule", f"test {metric.title} with what the rule chose"),
        Column("difference", f"difference{points}", "of these, paired by run, 95 % interval"),
        Column("values", "chosen", f"{listed(list(knobs))} of each repeat", numeric=False),
        Column("passes", "passes", "example passes of a choice, in runs of the arm"),
    ]
    rows = [_row(name, arm, plain[name], results) for name, arm in results["arms"].items()]
    ranges = listed([f"{knob} {range_text(values)}" for knob, values in knobs.items()])
    trials = count(results["common"]["trials"], "trial")
    about = (
        f"In each repeat every arm gets the same {trials} over {ranges} at its default, beside the "
        "study's own values, and takes the best on val. The arm's own knobs are searched on top of "
        "that, in either column; b* counts these alone."
    )
    return [Comparisons("common", TITLE, about, columns, rows)]


def _row(name: str, arm: ArmResults, plain: ArmResults, results: Results) -> dict[str, Cell]:
    metric, epoch = results["metric"], results["selection"]["epoch"]
    common, run = arm.get("common"), arm["passes"]["run"]
    tests = {"study": plain["test"][epoch], "chosen": arm["test"][epoch]}
    cost = common["passes"] / run if common and common["passes"] and run else None
    return {
        "arm": Cell(name),
        **{column: Cell(score(metric, test), test["mean"]) for column, test in tests.items()},
        "difference": interval(metric, common["gain"]) if common else Cell(MISSING),
        "values": Cell(_values(common) if common else "nothing to choose"),
        "passes": Cell(f"{cost:.1f}", cost) if cost else Cell(MISSING),
    }


def _values(common: CommonKnobs) -> str:
    """0.0125, 0.05, the study's: of each repeat, in order."""
    return "; ".join(_told(chosen["values"]) for chosen in common["chosen"])


def _told(values: Json) -> str:
    numbers = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in values.values()]
    return ", ".join(numbers) or "the study's"
