"""Which hyperparameters the way from the default to what was selected went by: results.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.analysis.as_json import interval_json
from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.intervals import estimate
from pipelines.analysis.record import Range, Record
from pipelines.analysis.results_schema import KnobGain
from pipelines.analysis.surrogate import ablation_paths
from pipelines.metrics import METRICS


def ablation(
    tried: Sequence[Record],
    space: Mapping[str, Range],
    default: Mapping[str, Any],
    selected: Mapping[int, Record],
    metric: str,
) -> list[KnobGain] | None:
    """What each hyperparameter adds to val on the path, the largest first; mean over repeats.

    tried: random trials, of which the forest learns. selected: by repeat. None where nothing tells.
    """
    paths = ablation_paths(tried, space, default, [r.config for r in selected.values()])
    if not paths:
        return None
    gains: dict[str, dict[int, float]] = {knob: {} for knob in space}
    for repeat, path in zip(selected, paths, strict=True):
        for step in path:
            gains[step.knob][repeat] = step.gain
    bounds = METRICS[metric].difference_bounds
    told: list[KnobGain] = [
        {"knob": knob, "gain": _interval(by_repeat, bounds)} for knob, by_repeat in gains.items()
    ]
    return sorted(told, key=lambda entry: -(entry["gain"]["mean"] or 0.0))


def _interval(by_repeat: Mapping[int, float], bounds: tuple[float, float]) -> IntervalJson:
    return interval_json(estimate({(r, 0): v for r, v in by_repeat.items()}, bounds=bounds))
