"""What a launch ends with, in 80 columns: the arms by score, and the answer."""

from __future__ import annotations

from math import inf
from textwrap import fill

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.analysis.estimate_schema import EstimateJson
from pipelines.analysis.results_schema import Results
from pipelines.analysis.sentences import interval_told
from pipelines.analysis.words import TOO_FEW, why_none
from pipelines.metrics import METRICS
from pipelines.report.comparisons import Comparisons
from pipelines.report.front_table import front_table
from pipelines.report.tables import MISSING, beside, number, rows

HEADINGS = {"arm": "arm", "score": "test", "labels": "clean labels", "break_even": "b*",
            "steps": "steps", "ratio": "passes"}  # fmt: skip
SCORE_WIDTH = len("94.8 [93.7, 95.9]")  # in which a heading is broken into lines
HEADING_WIDTH = 8


def print_answer(results: Results, console: Console) -> None:
    """The table, then the answer: last, since that is what one looks for."""
    console.print(terminal_table(results))
    for front in front_table(results):
        _print_front(front, console)
    answer = results["answer"]
    console.print()
    for line in answer["lines"]:
        console.print(Text.assemble((line["question"], "bold"), " ", line["text"]))
    if common := answer.get("common"):
        console.print(Text.assemble(("Common knobs.", "bold"), " ", common["sentence"]))
    for warning in answer["warnings"]:
        console.print(Text.assemble(("Warning: ", "bold yellow"), warning["text"]))
    if answer["basis"]:
        console.print(Text(answer["basis"], "dim"))


def _print_front(front: Comparisons, console: Console) -> None:
    """The configurations of the verdict's arm that no other one beats by both aims."""
    console.print()
    if not front.rows:
        console.print(Text(front.about, "dim"))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in front.columns:
        table.add_column(
            column.heading, justify="right" if column.numeric else "left", overflow="fold"
        )
    for row in front.rows:
        table.add_row(*(Text(row[column.name].text) for column in front.columns))
    console.print(Text(front.title, "bold"))
    console.print(table)


def terminal_table(results: Results) -> Table:
    """The arms, best score first; intervals are those that the answer tells."""
    metric, epoch = results["metric"], results["selection"]["epoch"]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    others, (first, second, *rest) = beside(results), HEADINGS.items()
    headings = dict([first, second, *((m, METRICS[m].title) for m in others), *rest])
    for name, heading in headings.items():
        title = f"{heading} {METRICS[metric].title}" if name == "score" else heading
        table.add_column(
            fill(title, SCORE_WIDTH if name == "score" else HEADING_WIDTH),
            justify="left" if name == "arm" else "right",
            overflow="fold",
            no_wrap=True,
        )
    tests = {name: arm["test"][epoch] for name, arm in results["arms"].items()}
    cells = {row["arm"].text: row for row in rows(results)}
    for name in sorted(tests, key=lambda arm: _rank(tests[arm])):
        texts = {column: cells[name][column].text for column in headings if column != "score"}
        means = {m: e["mean"] for m, e in results["arms"][name].get("beside", {}).items()}
        texts |= {m: number(m, mean) for m, mean in means.items()}
        texts |= {
            "score": _score(metric, tests[name]),
            "labels": texts["labels"].replace(" ", ""),
            "break_even": texts["break_even"].partition(" (")[0],  # how few searches, stands below
        }
        table.add_row(*(Text(texts[column]) for column in headings))
    return table


def _rank(estimate: EstimateJson) -> float:
    return inf if estimate["mean"] is None else -estimate["mean"]


def _score(metric: str, estimate: EstimateJson) -> str:
    """94.8 [93.7, 95.9]."""
    low, high, _ = interval_told(estimate)
    mean = number(metric, estimate["mean"])
    if estimate["mean"] is None:
        return MISSING
    if low is None or high is None:
        return f"{mean} ({'too few' if why_none(estimate) == TOO_FEW else 'all same'})"
    return f"{mean} [{number(metric, low)}, {number(metric, high)}]"
