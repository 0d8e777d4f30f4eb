"""The tables of what was run: scores of every set, learning rates, cost, the sets themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.evidence.cells import ARM, points, table_of
from pipelines.analysis.words import with_interval
from pipelines.metrics import METRICS
from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import MISSING, Cell, Column

JUDGING, DEVELOPMENT = "judging", "development"


def scores(content: Mapping[str, Any]) -> Comparisons:
    """Test score of every arm on every set."""
    members = [m for m in content["members"] if not m["change"]]
    columns = [ARM]
    for i, member in enumerate(members):
        metric = METRICS[member["metric"]].title
        columns.append(
            Column(f"m{i}", member["set"], f"test {metric} with its 95 % interval over repeats")
        )
    rows = []
    for arm in content["arms"]:
        row = {"arm": Cell(arm)}
        for i, member in enumerate(members):
            test = member["scores"].get(arm, {}).get("test")
            row[f"m{i}"] = _score(test) if test else Cell(MISSING)
        rows.append(row)
    about = "At the rate that val chose; each set in its own metric, in points of 100."
    return table_of("scores", "Scores", about, columns, rows if members else [])


def _score(test: Mapping[str, Any]) -> Cell:
    if test["mean"] is None:
        return Cell(MISSING)
    ends = test["low"], test["high"]
    return Cell(with_interval(test["mean"], *ends, lambda v: points(v, "")), test["mean"])


def rates(content: Mapping[str, Any]) -> Comparisons:
    """How often each rate was chosen, and how often an arm came to nothing at it."""
    names = [f"{rate:g}" for rate in sorted(content["rates"])]
    columns = [
        ARM,
        *(Column(f"c{r}", f"x{r} chosen", "runs for which val chose it") for r in names),
        *(Column(f"u{r}", f"x{r} collapsed", "final runs at it that diverged, failed or collapsed "
                 "/ all") for r in names),
    ]  # fmt: skip
    rows = []
    for arm, entry in content["arms"].items():
        row = {"arm": Cell(arm)}
        for rate in names:
            lost, of = entry["spoiled"][rate]
            row[f"c{rate}"] = Cell(str(entry["rates"][rate]), entry["rates"][rate])
            row[f"u{rate}"] = Cell(f"{lost} / {of}", lost)
        rows.append(row)
    about = (
        "Three rates for every arm; of each run the rate is chosen by val of the other run seeds "
        "of its repeat, so that no run's own luck picks it. Over all sets and scenarios."
    )
    return table_of("rates", "Learning rates", about, columns, rows)


def costs(content: Mapping[str, Any]) -> Comparisons:
    """Passes, and clean labels."""
    columns = [
        ARM,
        Column("kind", "kind", "what sort of method it is", numeric=False),
        Column("run", "one run", "passes, relative to one run of ce"),
        Column("all", "with rates and search", "passes of all that its score needs, relative to "
               "one run of ce: at each rate the search, if there is one, and a run; then one more "
               "run"),
        Column("labels", "clean labels", "whether it trains on them", numeric=False),
    ]  # fmt: skip
    trained: dict[str, bool] = {}
    for member in content["members"]:
        for arm, score in member["scores"].items():
            trained[arm] = trained.get(arm, False) or bool(score["clean_labels"])
    rows = [
        {
            "arm": Cell(arm),
            "kind": Cell(entry["kind"]),
            "run": _times(entry["run_ratio"]),
            "all": _times(entry["ratio"]),
            "labels": Cell("yes" if trained.get(arm) else "to select by, alone"),
        }
        for arm, entry in content["arms"].items()
    ]
    about = "An example forward counts 1, backward 2, forward mode 3; mean over sets."
    return table_of("cost", "Cost", about, columns, rows)


def _times(ratio: float | None) -> Cell:
    return Cell(MISSING) if ratio is None else Cell(f"{ratio:.1f}x", ratio)


def sets(content: Mapping[str, Any]) -> Comparisons:
    """What the sets are, and how far each has run."""
    columns = [
        Column("set", "set", "a study of search_spaces/studies/real", numeric=False),
        Column("use", "use", "judging, or development: something of this project was chosen on it",
               numeric=False),
        Column("modality", "modality", "images, table or texts", numeric=False),
        Column("noise", "noise", "in the training labels, as measured", numeric=False),
        Column("classes", "classes", "of unequal size or not", numeric=False),
        Column("train", "train", "training examples"),
        Column("labels", "meta / val", "clean labels to learn from, and to select by"),
        Column("metric", "metric", "of selection and report", numeric=False),
        Column("repeats", "repeats", "of splits, noise and search"),
        Column("runs", "runs", "that have ended, of those planned, at all three rates"),
    ]  # fmt: skip
    first: dict[str, Mapping[str, Any]] = {}
    for member in content["members"]:
        first.setdefault(member["set"], member)
    rows = [_set(entry, first.get(entry["name"])) for entry in content["sets"]]
    return table_of(
        "sets", "The sets", "docs/evidence.md says where each comes from.", columns, rows
    )


def _set(entry: Mapping[str, Any], member: Mapping[str, Any] | None) -> dict[str, Cell]:
    row = {
        "set": Cell(entry["name"]),
        "use": Cell(DEVELOPMENT if entry["development"] else JUDGING),
        "modality": Cell(entry["modality"]),
        "classes": Cell("unequal" if entry["unequal"] else "equal"),
        "runs": Cell("not run yet"),
    }
    if member is None:
        return dict.fromkeys(("noise", "train", "labels", "metric", "repeats"), Cell(MISSING)) | row
    rate = member["noise_rate"]
    return row | {
        "noise": Cell(f"{member['noise']}, {points(rate, '')} %" if rate else member["noise"]),
        "train": Cell(f"{member['sizes'].get('train', 0):,}", member["sizes"].get("train")),
        "labels": Cell(f"{member['clean_labels']} / {member['val']}", member["clean_labels"]),
        "metric": Cell(METRICS[member["metric"]].title),
        "repeats": Cell(str(member["asked"]["repeats"]), member["asked"]["repeats"]),
        "runs": Cell(f"{entry['ended']:,} / {entry['planned']:,}", entry["ended"]),
    }
