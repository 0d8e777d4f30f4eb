"""The figures of one study: one file each, which holds a `TITLE` and a function `draw`.

`plot` holds what they are made of, `inputs` what they are drawn from; `across` draws test scores
along what scenarios or whole studies differ in.
"""

from __future__ import annotations

from importlib import import_module

from pipelines.analysis.results_schema import Results
from pipelines.ledger.ledger import Ledger
from pipelines.report.figures.inputs import FigureInputs, load_inputs
from pipelines.report.figures.plot import Figure
from pipelines.report.study_state import StudyState

#: Modules of this package, in the order of the page. A figure's anchor is its module's name.
FIGURES = (
    "cost",
    "gain",
    "epochs",
    "verdicts",
    "confusion",
    "learned",
    "weights",
    "weight_function",
    "memory",
    "scores",
    "budget",
    "early_stopping",
    "fronts",
    "hyperparameters",
    "parallel",
    "sensitivity",
    "axes",
)

DECIDING = 2  # of them stand before the tables: what to use, and what tuning buys


def study_figures(ledger: Ledger, study_state: StudyState, results: Results) -> list[Figure]:
    """All figures of a study; those without data say why instead."""
    inputs = load_inputs(ledger, study_state, results)
    return [_figure(name, inputs) for name in FIGURES]


def _figure(name: str, inputs: FigureInputs) -> Figure:
    module = import_module(f"{__name__}.{name}")
    return Figure(name.replace("_", "-"), module.TITLE, module.draw(inputs))
