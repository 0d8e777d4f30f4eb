"""Does every 95 % interval that the report shows cover 95 %? A simulation with known truth.

    python -m benchmarks.coverage [--studies N] [--json FILE]

One tuned hyperparameter with a one-hump response whose optimum moves with the data seed; a val set
of 100 examples, so that ties happen; noise from run seeds. The truth is simulated directly, trial
by trial, without the estimators under test.

For new examples: two arms whose log-odds to classify an example right are a level, plus the luck of
the repeat and how easy the example is, both mostly shared by the arms. Over sets: see
benchmarks/evidence/coverage.py.
"""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.evidence.coverage import set_rows
from pipelines.analysis.budget import break_even, budget_curve, value_at
from pipelines.analysis.examples import two_way_interval
from pipelines.analysis.intervals import aggregate, compare, t_interval
from pipelines.analysis.runs import Floats

TRIALS = 20
REPEATS = (3, 5, 10)
BUDGETS = (0, 1, 5, 10, 15, 20)
CROSSINGS = (1.5, 2, 3.5, 5, 8, 10)
SEEDS = 2
RUN_SD, DATA_SD, OPTIMUM_SD, VAL_SIZE = 0.01, 0.01, 0.05, 100
OPTIMUM, DEFAULT = 0.6, 0.25
EXAMPLE_REPEATS, EXAMPLES = (3, 5, 12), (100, 500, 2000)
LEVELS, REPEAT_SD, EXAMPLE_SD, SHARED = (2.0, 1.8), 0.15, 2.0, 0.8
Rows = list[dict[str, Any]]


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


def covered(intervals: Floats, value: float) -> list[bool]:
    """Which of the intervals [n, 2] contain the value."""
    return list((intervals[:, 0] <= value) & (value <= intervals[:, 1]))


def budget_rows(rng: np.random.Generator, studies: int, reference: Floats) -> Rows:
    """Intervals of the budget curve, and of the break-even budget against a level on the curve."""
    rows: Rows = []
    for repeats in REPEATS:
        val, true, _ = searches(rng, studies * repeats)
        curves = np.array([budget_curve(*s) for s in zip(val, noisy(rng, true), strict=True)])
        curves = curves.reshape(studies, repeats, TRIALS + 1)
        for b in BUDGETS:
            intervals = np.array([t_interval(study[:, b]) for study in curves])
            rows.append(_row("budget curve", repeats, b, covered(intervals, reference[b])))
        for b in CROSSINGS:
            level = value_at(b, reference) + rng.normal(
                0, RUN_SD / SEEDS**0.5, (studies, repeats, 1)
            )
            hits = [
                e.low is not None and e.low <= b and (e.high is None or b <= e.high)
                for e in map(break_even, curves - level)
            ]
            rows.append(_row("break-even budget", repeats, b, hits))
    return rows


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
        rows.append(_row("paired difference", repeats, seeds, covered(np.array(intervals), 0)))
    for repeats in (3, 5):
        spread = np.array([0.01, 0.01, 0.02, 0.005])
        draws = rng.normal(0, spread[:, None], (studies // 4, spread.size, repeats))
        gaps = [aggregate(list(draw), 0.01, resamples=1000).difference for draw in draws]
        intervals = np.array([(gap.low, gap.high) for gap in gaps])
        rows.append(_row("aggregate of 4 scenarios", repeats, spread.size, covered(intervals, 0)))
    return rows


def two_arms(rng: np.random.Generator, repeats: int, n: int) -> Floats:
    """Share of two runs [2 arms, repeats, n] that classify each test example right."""

    def luck(*shape: int) -> Floats:
        shared, own = rng.standard_normal(shape), rng.standard_normal((2, *shape))
        return SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * own

    odds = np.array(LEVELS)[:, None, None] + REPEAT_SD * luck(repeats, 1) + EXAMPLE_SD * luck(1, n)
    return rng.binomial(SEEDS, expit(odds)) / SEEDS


def true_accuracies() -> Floats:
    """Of both arms over all repeats and examples, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = np.hypot(REPEAT_SD, EXAMPLE_SD)
    return expit(np.array(LEVELS)[:, None] + spread * nodes) @ weights / weights.sum()


def example_rows(rng: np.random.Generator, studies: int) -> Rows:
    """Intervals for new examples: of an arm's accuracy, and of the difference of two."""
    rows: Rows = []
    accuracy, other = true_accuracies()
    for repeats, n in product(EXAMPLE_REPEATS, EXAMPLES):
        scores, gaps = [], []
        for _ in range(studies):
            ours, theirs = two_arms(rng, repeats, n)
            scores.append(two_way_interval(ours))
            gaps.append(two_way_interval(ours - theirs))
        hits = covered(np.array(scores), accuracy)
        rows.append(_row("score, new examples", repeats, n, hits))
        hits = covered(np.array(gaps), accuracy - other)
        rows.append(_row("difference, new examples", repeats, n, hits))
    return rows


def _row(interval: str, repeats: int, at: float, hits: Sequence[bool]) -> dict[str, Any]:
    """`at` is a budget, a number of seeds, scenarios, examples or sets: what varies in the row."""
    return {
        "interval": interval,
        "repeats": repeats,
        "at": at,
        "studies": len(hits),
        "coverage": float(np.mean(hits)),
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
        print(
            f"{row['interval']:26} R = {row['repeats']:2} at {row['at']:4g}: {row['coverage']:.1%}"
        )
    if json_file:
        json_file.write_text(json.dumps({"studies": studies, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
