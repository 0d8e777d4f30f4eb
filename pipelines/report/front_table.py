"""The table of the configurations on the fronts of a search by two aims."""

from pipelines.analysis.fronts import Valued
from pipelines.analysis.results_schema import Results
from pipelines.analysis.words import aim_name, aim_title, configuration
from pipelines.metrics import METRICS, PASSES
from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import Cell, Column, number

TITLE = "Configurations on the Pareto front"


def front_table(results: Results) -> list[Comparisons]:
    """Of the verdict's tuned arm, or the first one; those of other arms are folded.

    None where searches go by val alone.
    """
    aim = results["selection"].get("second_aim")
    if aim is None:
        return []
    fronts = {
        name: front["trials"]
        for name, arm in results["arms"].items()
        for front in arm.get("fronts", [])
        if front["aim"] == aim
    }
    if not fronts:
        why = f"no search has completed trials that differ in {aim_name(aim)}"
        return [Comparisons("front", TITLE, f"Left out: {why}.")]
    columns = [
        Column("arm", "tuned arm", "whose search it is", numeric=False),
        Column("repeat", "repeat", "whose search it is"),
        Column("trial", "trial", "number in its search; 0 is the default"),
        Column("val", f"val {METRICS[results['metric']].title}", "the first aim"),
        Column("value", aim_title(aim), "the second aim"),
        Column("selected", "selected", "by val alone", numeric=False),
        Column("config", "configuration", "what was tuned", numeric=False),
    ]
    tuned = results["headline"]["tuned"]
    first = tuned if tuned in fronts else next(iter(fronts))
    rows, folded = (
        [_row(name, trial, results["metric"], aim) for name in names for trial in fronts[name]]
        for names in ([first], [name for name in fronts if name != first])
    )
    about = (
        f"Searches go by val and by {aim_name(aim)}: no other configuration of the same search is "
        "better in one and no worse in the other. Selected is the highest val, as in every study; "
        "whoever prefers another one of the front retrains it. Single runs on few val examples."
    )
    return [Comparisons("front", TITLE, about, columns, rows, "The other tuned arms", folded)]


def _row(arm: str, trial: Valued, metric: str, aim: str) -> dict[str, Cell]:
    value = trial["value"]
    shown = f"{value:,.0f}" if aim == PASSES else number(aim, value)
    return {
        "arm": Cell(arm),
        "repeat": Cell(str(trial["repeat"]), trial["repeat"]),
        "trial": Cell(str(trial["index"]), trial["index"]),
        "val": Cell(number(metric, trial["val"]), trial["val"]),
        "value": Cell(shown, value),
        "config": Cell(configuration(trial["config"])),
        "selected": Cell("selected" if trial["selected"] else ""),
    }
