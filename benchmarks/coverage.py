"""Does every 95 % interval that the report shows cover 95 %? A simulation with known truth.

    python -m benchmarks.coverage [--studies N] [--json FILE]

One tuned hyperparameter with a one-hump response whose optimum moves with the data seed; a val set
of 100 examples, so that ties happen; noise from run seeds. The truth is simulated directly, trial
by trial, without the estimators under test.

For these examples and for new ones: two arms whose log-odds to classify an example right are a
level, plus the luck of the repeat and how easy the example is, both mostly shared by the arms.
Repeats scatter by 2 points of accuracy or by 10, so that the bounds of a score cut intervals. Over
sets: see benchmarks/evidence/coverage.py. Two repeats have their rows, too: none is shown.
"""

import json
from collections.abc import Sequence
from itertools import product
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from benchmarks.evidence.coverage import set_rows
from pipelines.analysis.budget import BreakEven, break_even, budget_curve, value_at
from pipelines.analysis.examples import two_way_interval
from pipelines.analysis.intervals import aggregate, bounded, compare, t_interval
from pipelines.analysis.runs import Floats
from pipelines.metrics import METRICS

TRIALS = 20
REPEATS = (2, 3, 5, 10)
BUDGETS = (0, 1, 5, 10, 15, 20)
CROSSINGS = (1.5, 2, 3.5, 5, 8, 10)
SEEDS = 2
RUN_SD, DATA_SD, OPTIMUM_SD, VAL_SIZE = 0.01, 0.01, 0.05, 100
OPTIMUM, DEFAULT = 0.6, 0.25
EXAMPLE_REPEATS, EXAMPLES = (2, 3, 5, 12), (100, 300, 1000)
LEVELS, EXAMPLE_SD, SHARED = (2.0, 1.8), 2.0, 0.8
REPEAT_SDS = {"": 0.15, ", wide": 1.0}  # of log-odds: 2 and 10 points of accuracy
SHARE, SHARES = METRICS["accuracy"].bounds, METRICS["accuracy"].difference_bounds
Rows = list[dict[str, Any]]
Hits = Sequence[bool | None]  # whether an interval holds the truth; None: it is not shown


def truth(q: Floats, optimum: Floats) -> Floats:
    """True score at q where the best value is `optimum`: at most 0.9, at 0.3 away 0.81."""
    return 0.9 - (q - optimum) ** 2


def searches(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats]:
    """n searches: val [n, TRIALS + 1], the truth of each configuration (default first), shift [n].

    A score is truth + shift of the data seed + noise of the run; val counts 100 examples.
    """
    optimum, shift = rng.normal(OPTIMUM, OPTIMUM_SD, (n, 1)), rng.normal(0, DATA_SD, (n, 1))
    q = np.column_stack([np.full(n, DEFAULT), rng.uniform(0, 1, (n, TRIALS))])
    true = truth(q, optimum) + shift
    run = np.clip(true + rng.normal(0, RUN_SD, true.shape), 0, 1)
    return rng.binomial(VAL_SIZE, run) / VAL_SIZE, true, shift[:, 0]


def noisy(rng: np.random.Generator, true: Floats) -> Floats:
    """Test scores of runs with fresh run seeds."""
    return true + rng.normal(0, RUN_SD, true.shape)


def pick(rng: np.random.Generator, val: Floats) -> NDArray[np.intp]:
    """Index of the highest val [n, k], ties at random."""
    return (val + rng.uniform(0, 1e-9, val.shape)).argmax(axis=1)


def true_curve(rng: np.random.Generator, n: int) -> Floats:
    """Expected true score of what is selected at each budget, from n direct searches."""
    val, true, _ = searches(rng, n)
    rows = np.arange(n)
    return np.array([true[rows, pick(rng, val[:, : b + 1])].mean() for b in range(TRIALS + 1)])


def covered(intervals: ArrayLike, value: ArrayLike) -> Hits:
    """Which of the intervals [n, 2] contain the value, or each its own of values [n]."""
    low, high = np.asarray(intervals, dtype=float).T
    hits = (low <= value) & (value <= high)
    return [None if isnan(end) else bool(hit) for end, hit in zip(low, hits, strict=True)]


def budget_rows(rng: np.random.Generator, studies: int, reference: Floats) -> Rows:
    """Intervals of the budget curve, and of the break-even budget against a level on the curve."""
    rows: Rows = []
    for repeats in REPEATS:
        val, true, _ = searches(rng, studies * repeats)
        curves = np.array([budget_curve(*s) for s in zip(val, noisy(rng, true), strict=True)])
        curves = curves.reshape(studies, repeats, TRIALS + 1)
        for b in BUDGETS:
            intervals = [t_interval(study[:, b]) for study in curves]
            rows.append(_row("budget curve", repeats, b, covered(intervals, reference[b])))
        for b in CROSSINGS:
            level = value_at(b, reference) + rng.normal(
                0, RUN_SD / SEEDS**0.5, (studies, repeats, 1)
            )
            found = map(break_even, curves - level)
            rows.append(_row("break-even budget", repeats, b, [_holds(e, b) for e in found]))
    return rows


def _holds(found: BreakEven, b: float) -> bool | None:
    """Whether the interval of a break-even budget holds the true one."""
    if not found.interval:
        return None
    return found.low is not None and found.low <= b and (found.high is None or b <= found.high)


def comparison_rows(rng: np.random.Generator, studies: int, reference: Floats) -> Rows:
    """Paired differences of final runs, untuned minus tuned, and their aggregate over scenarios."""
    rows: Rows = []
    for repeats in (1, *REPEATS):
        seeds = 5 if repeats == 1 else SEEDS
        intervals = []
        for _ in range(studies):
            val, true, shift = searches(rng, repeats)
            chosen = true[np.arange(repeats), pick(rng, val)]
            expected = float((shift + 0.9 - chosen).mean()) if repeats == 1 else 0.9 - reference[-1]
            keys = [(r, s) for r in range(repeats) for s in range(seeds)]
            tuned = {(r, s): chosen[r] + rng.normal(0, RUN_SD) for r, s in keys}
            untuned = {(r, s): 0.9 + shift[r] + rng.normal(0, RUN_SD) for r, s in keys}
            gap = compare(untuned, tuned, 0.01).difference
            intervals.append((gap.low - expected, gap.high - expected))
        rows.append(_row("paired difference", repeats, seeds, covered(intervals, 0)))
    for repeats in (3, 5):
        spread = np.array([0.01, 0.01, 0.02, 0.005])
        draws = rng.normal(0, spread[:, None], (studies // 2, spread.size, repeats))
        gaps = [aggregate(list(draw), 0.01, resamples=1000).difference for draw in draws]
        intervals = [(gap.low, gap.high) for gap in gaps]
        rows.append(_row("aggregate of 4 scenarios", repeats, spread.size, covered(intervals, 0)))
    return rows


def two_arms(
    rng: np.random.Generator, repeats: int, n: int, repeat_sd: float
) -> tuple[Floats, Floats]:
    """Two arms' runs, and their test examples.

    repeat_sd: of a repeat's log-odds. Returns the share of runs [2 arms, repeats, n] that classify
    an example right, and its log-odds [2 arms, n] without the luck of a repeat.
    """

    def luck(*shape: int) -> Floats:
        shared, own = rng.standard_normal(shape), rng.standard_normal((2, *shape))
        return SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * own

    examples = np.array(LEVELS)[:, None] + EXAMPLE_SD * luck(n)
    odds = examples[:, None] + repeat_sd * luck(repeats, 1)
    return rng.binomial(SEEDS, expit(odds)) / SEEDS, examples


def mean_accuracies(odds: Floats, sd: float, nodes: int) -> Floats:
    """E expit(odds + sd z) of a normal z, for odds [...], by Gauss-Hermite quadrature."""
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return expit(odds[..., None] + sd * z) @ weights / weights.sum()


def example_rows(rng: np.random.Generator, studies: int) -> Rows:
    """Intervals of an arm's accuracy and of the difference of two, by both estimands."""
    rows: Rows = []
    for spread, repeats, n in product(REPEAT_SDS, EXAMPLE_REPEATS, EXAMPLES):
        these, new = _accuracy_hits(rng, studies, (repeats, n, REPEAT_SDS[spread]))
        for of, hits in (("these examples", these), ("new examples", new)):
            for k, what in enumerate(("score", "difference")):
                rows.append(_row(f"{what}, {of}{spread}", repeats, n, hits[k]))
    return rows


def _accuracy_hits(
    rng: np.random.Generator, studies: int, design: tuple[int, int, float]
) -> tuple[list[Hits], list[Hits]]:
    """For these examples and for new ones: of the first arm's accuracy, and of the difference.

    design: repeats, examples, and the standard deviation of a repeat's log-odds.
    """
    these, new, truths = (np.empty((2, studies, size)) for size in (2, 2, 1))
    for i in range(studies):
        (ours, theirs), examples = two_arms(rng, *design)
        first, second = mean_accuracies(examples, design[2], 12).mean(axis=1)
        truths[:, i, 0] = first, first - second
        for k, (values, bounds) in enumerate(((ours, SHARE), (ours - theirs, SHARES))):
            these[k, i] = bounded(t_interval(values.mean(axis=1)), bounds)
            new[k, i] = bounded(two_way_interval(values), bounds)
    first, second = mean_accuracies(np.array(LEVELS), np.hypot(design[2], EXAMPLE_SD), 60)
    of_these = [covered(these[k], truths[k, :, 0]) for k in (0, 1)]
    return of_these, [covered(new[0], first), covered(new[1], first - second)]


def _row(interval: str, repeats: int, at: float, hits: Hits) -> dict[str, Any]:
    """`at` is a budget, a number of seeds, scenarios, examples or sets: what varies in the row."""
    shown = [hit for hit in hits if hit is not None]
    return {
        "interval": interval,
        "repeats": repeats,
        "at": at,
        "studies": len(hits),
        "shown": len(shown) / len(hits),
        "coverage": float(np.mean(shown)) if shown else None,
    }


def simulate(studies: int, seed: int = 0) -> Rows:
    """Coverage of every kind of interval, from `studies` simulated studies each."""
    rng = np.random.default_rng(seed)
    reference = true_curve(rng, 200 * studies)
    return [
        *budget_rows(rng, studies, reference),
        *comparison_rows(rng, studies, reference),
        *example_rows(rng, studies),
        *set_rows(rng, studies, _row),
    ]


def main(
    studies: Annotated[int, typer.Option(help="simulated studies per row")] = 2000,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the rows here")] = None,
) -> None:
    """Print the coverage of every interval that the report shows; the nominal value is 95 %."""
    rows = simulate(studies)
    for row in rows:
        known = f"{row['coverage']:.1%}, shown {row['shown']:.1%}" if row["shown"] else "none shown"
        print(f"{row['interval']:32} R = {row['repeats']:2} at {row['at']:4g}: {known}")
    if json_file:
        json_file.write_text(json.dumps({"studies": studies, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
