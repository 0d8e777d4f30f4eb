"""Test score along the axes of one study: clean labels, noise rates, whatever it varies."""

from __future__ import annotations

from pipelines.documents import lookup
from pipelines.report.figures.across import draw_across, ordered
from pipelines.report.figures.inputs import FigureInputs
from pipelines.report.figures.plot import Drawing, left_out

TITLE = "Clean labels, noise rates and other axes"


def draw(inputs: FigureInputs) -> Drawing:
    """One view per axis, with the study's own value on it."""
    study = inputs.study_state.study
    if not study.request.axes:
        noise = study.protocol.noise
        return left_out(
            f"the study has no axes, so one number of clean labels ({study.protocol.splits.meta} "
            f"to train with) and one noise rate ({noise.kind}, {noise.rate:.0%})"
        )
    scenarios = inputs.results.get("scenarios", {"scenarios": {"": inputs.results}})["scenarios"]
    protocol = study.protocol.model_dump(mode="json")
    views = {}
    for address in study.request.axes:
        own = (lookup(protocol, address), scenarios[""])
        others = [
            (changes[address], scenarios[name])
            for name, changes in study.scenarios.items()
            if address in changes
        ]
        views[address] = ordered([own, *others])
    return draw_across(views, "over the study's scenarios")
