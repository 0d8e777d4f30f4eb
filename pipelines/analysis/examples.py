"""Which test examples were classified right: what tells of new examples of this kind.

The test examples are the same in all repeats and for all arms. An interval over repeats therefore
speaks of these examples; for new ones their own luck counts, too.
"""

from collections.abc import Iterable, Mapping
from math import nan, sqrt

import numpy as np
from scipy.special import stdtrit

from pipelines.analysis.record import EpochRule, Record
from pipelines.analysis.runs import LEVEL, MIN_UNITS, Floats, all_equal
from pipelines.metrics import METRICS
from pipelines.stored_predictions import confusion_matrix, unpack_hits

Examples = Mapping[tuple[int, int], Floats]
"""By (repeat, index of the run seed): what each test example [N] adds; the score is their mean."""


def examples_of(records: Iterable[Record], metric: str, epoch: EpochRule) -> Examples | None:
    """The examples of one arm's runs; None unless all of them, but failed ones, have theirs.

    Results of version 0.1 have none, and neither has a metric that is no mean over examples. A run
    that diverged has the worst score: 0 for each example.
    """
    weigh = METRICS[metric].example_weights
    examples: dict[tuple[int, int], Floats | None] = {}
    for record in records:
        held_out = record.held_out.get(epoch)
        if record.status == "failed":
            continue
        if weigh is None or (held_out is None and record.status != "diverged"):
            return None
        values = None
        if held_out is not None:
            if held_out.correct is None:
                return None
            support = confusion_matrix(held_out.confusion).sum(axis=1).astype(float)
            weights = np.repeat(weigh(support), support.astype(int))
            values = unpack_hits(held_out.correct, weights.size) * weights
        examples[record.repeat, record.index] = values
    sizes = {values.size for values in examples.values() if values is not None}
    if len(sizes) != 1:
        return None
    nothing = np.zeros(sizes.pop())
    return {run: nothing if values is None else values for run, values in examples.items()}


def example_differences(new: Examples | None, baseline: Examples | None) -> Examples | None:
    """new - baseline, paired by repeat, run seed and example; None where either is."""
    if new is None or baseline is None:
        return None
    shared = sorted(new.keys() & baseline.keys())
    if any(new[run].size != baseline[run].size for run in shared):
        return None
    return {run: new[run] - baseline[run] for run in shared}


def new_examples_interval(examples: Examples | None) -> tuple[float, float]:
    """The interval of a mean over repeats (with one of them, over run seeds) and new examples.

    (nan, nan) where `examples` is None, and where `two_way_interval` gives none.
    """
    groups: dict[int, list[Floats]] = {}
    for (repeat, _), values in (examples or {}).items():
        groups.setdefault(repeat, []).append(values)
    if not groups:
        return nan, nan
    only = next(iter(groups.values()))
    units = only if len(groups) == 1 else [np.mean(runs, axis=0) for runs in groups.values()]
    return two_way_interval(np.array(units))


def two_way_interval(values: Floats) -> tuple[float, float]:
    """Interval of the mean of values [R, N] over both repeats and examples, crossed and random.

    With x_ri = m + a_r + b_i + e_ri the mean has the variance A/R + B/N + E/RN. Its unbiased
    estimate is (MSA + MSB - MSE)/RN of the mean squares of repeats, examples and what is left
    (Searle, Casella & McCulloch, "Variance Components", 1992, ch. 4), at Satterthwaite's degrees of
    freedom. It is never narrower than the t interval over repeats alone: few repeats tell little of
    their spread, and without this 91-96 % are covered, with it 94-97 % (benchmarks.coverage).
    (nan, nan) with fewer than `MIN_UNITS` repeats or two examples, and where all repeats score
    alike.
    """
    repeats, n = values.shape if values.ndim == 2 else (0, 0)
    if repeats < MIN_UNITS or n < 2 or all_equal(values.mean(axis=1)):
        return nan, nan
    rows, columns, mean = values.mean(axis=1), values.mean(axis=0), float(values.mean())
    of_repeats = n * float(rows.var(ddof=1))
    of_examples = repeats * float(columns.var(ddof=1))
    freedom = (repeats - 1, n - 1, (repeats - 1) * (n - 1))
    squares = float(((values - mean) ** 2).sum())
    rest = (squares - freedom[0] * of_repeats - freedom[1] * of_examples) / freedom[2]
    half = _half_width(of_repeats, freedom[0], repeats * n)
    if of_examples > rest:  # else they seem to add nothing
        total = of_repeats + of_examples - rest
        parts = zip((of_repeats, of_examples, rest), freedom, strict=True)
        degrees = total**2 / sum(square**2 / df for square, df in parts)
        half = max(half, _half_width(total, degrees, repeats * n))
    return mean - half, mean + half


def _half_width(square: float, degrees: float, cells: int) -> float:
    """Of the interval of a mean over cells, from a mean square and its degrees of freedom."""
    return float(stdtrit(degrees, (1 + LEVEL) / 2)) * sqrt(square / cells)
