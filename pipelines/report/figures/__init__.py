"""The figures of one study, in the order of the page."""

from __future__ import annotations

from typing import Any

from pipelines.ledger.ledger import Ledger
from pipelines.report.figures import across, cost, learned, scores, search, sensitivity, training
from pipelines.report.figures.inputs import load_inputs
from pipelines.report.figures.plot import Figure
from pipelines.report.records import StudyState


def study_figures(ledger: Ledger, study_state: StudyState, results: dict[str, Any]) -> list[Figure]:
    """All figures of a study; those without data say why instead."""
    inputs = load_inputs(ledger, study_state, results)
    return [
        scores.accuracy(inputs),
        cost.budget(inputs),
        sensitivity.sensitivity(inputs),
        training.epochs(inputs),
        across.axes(inputs),
        search.hyperparameters(inputs),
        search.parallel(inputs),
        learned.weight_function(inputs),
        learned.weights(inputs),
        learned.learned(inputs),
        training.confusion(inputs),
        cost.cost(inputs),
    ]
