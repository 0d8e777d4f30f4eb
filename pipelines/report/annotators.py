"""The annotators of a study's labels, and how each of them answers."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.documents import Json
from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import MISSING, Cell, Column

MISTAKES = 3  # of an annotator, the most frequent ones
SHOWN = 12  # annotators; the others on demand
COLUMNS = (
    Column("name", "annotator", "as the labels file calls them", numeric=False),
    Column("answers", "answers", "how many there are of this annotator"),
    Column(
        "right",
        "right, %",
        "how probable the annotator's answers are by Dawid & Skene, on average: by what all "
        "annotators say together, and no truth",
    ),
    Column(
        "mistakes",
        "answers instead",
        "what the annotator says most often for another class, and of how many of that class, by "
        "the same estimate",
        numeric=False,
    ),
)


def annotators_table(suspects: Json | None) -> Comparisons | None:
    """What `suspects` has found out about the annotators; None where there are not several."""
    found = (suspects or {}).get("annotators")
    if not suspects or not found:
        return None
    rows = [_row(annotator, suspects["classes"]) for annotator in found]
    return Comparisons(
        "annotators",
        "Annotators",
        f"{len(rows):,} annotators gave the labels. Whole confusions are in suspects.json.",
        COLUMNS,
        rows[:SHOWN],
        "Annotators with fewer answers",
        rows[SHOWN:],
    )


def _row(annotator: Json, classes: Sequence[str]) -> dict[str, Cell]:
    mistakes = sorted(
        (
            (share, true, said)
            for true, row in enumerate(annotator["confusion"])
            for said, share in enumerate(row)
            if true != said
        ),
        key=lambda mistake: -mistake[0],
    )
    told = [
        f"{classes[said]} for {classes[true]} {share:.0%}"
        for share, true, said in mistakes[:MISTAKES]
        if share >= 0.005
    ]
    return {
        "name": Cell(annotator["name"]),
        "answers": Cell(f"{annotator['answers']:,}", annotator["answers"]),
        "right": Cell(f"{100 * annotator['right']:.1f}", annotator["right"]),
        "mistakes": Cell(", ".join(told) or MISSING),
    }
