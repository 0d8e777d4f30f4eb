"""What went wrong with an arm, or makes a comparison unfair: the warnings of the answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt

import numpy as np

from pipelines.analysis.answer_schema import Caution, Trouble
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.record import EpochRule, Record
from pipelines.analysis.results_schema import ArmResults, Results
from pipelines.analysis.runs import Floats
from pipelines.analysis.words import count, shown
from pipelines.kinds import KINDS
from pipelines.metrics import METRICS, confusion_matrix

PLAIN = "ce"  # whose steps and passes are the measure of the others'
ONE_CLASS = 0.99  # share of the examples that one class must get for predictions to be constant
CHANCE_SIGMAS = 2.0
STARVED = 0.5  # share of the plain arm's steps


def cautions(results: Results, runs: Mapping[str, ArmRuns]) -> list[Caution]:
    """The warnings of a study, the gravest first."""
    learned_nothing = {name for name, arm in runs.items() if _most(arm, _learned_nothing)}
    tested = {name for name, arm in runs.items() if _tested(arm)}
    if tested and learned_nothing == tested:
        text = "Every arm scores at chance: nothing was learned, and nothing can be compared."
        return [_caution("chance", None, text)]
    cautions = [c for name in runs for c in _of_arm(results, runs[name], name in learned_nothing)]
    return cautions + list(_starved(results["arms"]))


def _caution(trouble: Trouble, arm: str | None, text: str) -> Caution:
    return {"trouble": trouble, "arm": arm, "text": text}


def _of_arm(results: Results, runs: ArmRuns, learned_nothing: bool) -> Iterator[Caution]:
    name, diverged = runs.name, results["arms"][runs.name]["trials"]["diverged"]
    if _most(runs, lambda run: is_constant(_confusion(run, runs.epoch))):
        yield _caution(
            "collapsed", name, f"{name} collapsed: it predicts one class for everything."
        )
    elif learned_nothing:
        yield _caution("chance", name, f"{name} scores at chance: it has learned nothing.")
    elif runs.epoch == "last" and METRICS[runs.metric].in_points and _most(runs, _fell):
        vals = [(run.best_val, run.last_val) for run in _tested(runs)]
        best, last = shown(runs.metric, [float(v) for v in np.mean(vals, axis=0)])
        text = (
            f"{name} fell far below its own best: val {best} at its best epoch, {last} at the last."
        )
        yield _caution("fell", name, text)
    if diverged:
        text = f"{count(diverged, 'trial')} of {name} diverged and counts as the worst score."
        yield _caution("diverged", name, text if diverged == 1 else text.replace("counts", "count"))


def _tested(runs: ArmRuns) -> list[Record]:
    return [run for run in runs.final_runs if runs.epoch in run.held_out]


def _most(runs: ArmRuns, holds: Callable[[Record], bool]) -> bool:
    """Whether something holds of half of an arm's final runs or more; of no runs it does not."""
    tested = _tested(runs)
    return bool(tested) and 2 * sum(map(holds, tested)) >= len(tested)


def _learned_nothing(run: Record) -> bool:
    return all(at_chance(_confusion(run, epoch)) for epoch in run.held_out)


def _fell(run: Record) -> bool:
    return fell(run.best_val, run.last_val, len(_confusion(run, "last")))


def _confusion(run: Record, epoch: EpochRule) -> Floats:
    return confusion_matrix(run.held_out[epoch].confusion).astype(float)


def is_constant(confusion: Floats) -> bool:
    """Whether nearly all examples, which are not of one class, are taken for one class.

    confusion: counts [K, K]; rows are labels.
    """
    calls, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return calls.max() >= ONE_CLASS * calls.sum() and support.max() < ONE_CLASS * support.sum()


def at_chance(confusion: Floats) -> bool:
    """Whether the mean recall of the classes is what predictions blind to the example have.

    That is 1/K, with the variance sum_k (1/K)(1 - 1/K) / n_k / K^2, however unequal the classes.
    confusion: counts [K, K]; rows are labels.
    """
    support = confusion.sum(axis=1)
    present = support > 0
    recall = (confusion.diagonal()[present] / support[present]).mean()
    chance, classes = 1 / present.sum(), present.sum()
    spread = sqrt((chance * (1 - chance) / support[present]).sum()) / classes
    return bool(recall < chance + CHANCE_SIGMAS * spread)


def fell(best: float, last: float, classes: int) -> bool:
    """Whether a share of right predictions ends below the middle between chance and its best."""
    return last < (best + 1 / classes) / 2


def _starved(arms: Mapping[str, ArmResults]) -> Iterator[Caution]:
    """Controls with far fewer steps than plain cross-entropy."""
    full = arms[PLAIN]["steps"] if PLAIN in arms else None
    for name, arm in arms.items():
        steps = arm["steps"]
        control = KINDS[arm["kind"]].side == "control"
        if control and full and steps is not None and steps < STARVED * full:
            taken = count(steps, "training step")
            text = (
                f"{name} takes {taken} where {PLAIN} takes {full:g}, and may be starved; "
                "epoch_size: train gives a phase as many."
            )
            yield _caution("starved", name, text)


def run_steps(records: Sequence[Record]) -> float | None:
    """Mean steps of runs; None where they are not known."""
    known = [run.steps for run in records if run.steps is not None]
    return float(np.mean(known)) if known else None
