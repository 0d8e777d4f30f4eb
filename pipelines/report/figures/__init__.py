"""The figures of one study, in the order of the page."""

from __future__ import annotations

from typing import Any

from pipelines.ledger.ledger import Ledger
from pipelines.report.figures import across, cost, learned, scores, search, sensitivity, training
from pipelines.report.figures.inputs import collect
from pipelines.report.figures.plot import Figure
from pipelines.report.records import Findings


def study_figures(ledger: Ledger, findings: Findings, results: dict[str, Any]) -> list[Figure]:
    """All figures of a study; those without data say why instead."""
    material = collect(ledger, findings, results)
    return [
        scores.accuracy(material),
        cost.budget(material),
        sensitivity.sensitivity(material),
        training.epochs(material),
        across.axes(material),
        search.hyperparameters(material),
        search.parallel(material),
        learned.weight_function(material),
        learned.weights(material),
        learned.learned(material),
        training.confusion(material),
        cost.cost(material),
    ]
