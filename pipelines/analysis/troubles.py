"""What went wrong with an arm, or makes a comparison unfair: the warnings of the answer."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from pipelines.analysis.answer_schema import Caution, Trouble
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json
from pipelines.analysis.pairs import compare_arms
from pipelines.analysis.record import EpochRule, Record
from pipelines.analysis.results_schema import ArmResults, Results
from pipelines.analysis.runs import Floats
from pipelines.analysis.sentences import gap_text, interval_told
from pipelines.analysis.words import count, shown
from pipelines.collapse import AT, MEANING, SPOILING, Sign, at_chance, fell, is_constant, told
from pipelines.kinds import KINDS
from pipelines.metrics import METRICS
from pipelines.stored_predictions import confusion_matrix

PLAIN = "ce"  # whose steps and passes are the measure of the others'
STARVED = 0.5  # share of the plain arm's steps
WORSE: set[Trouble] = {"collapsed", "chance", "fell"}  # after which a low score is no news
TOLD = 3  # runs of which it is told how they collapsed


def cautions(results: Results, runs: Mapping[str, ArmRuns]) -> list[Caution]:
    """The warnings of a study, the gravest first."""
    learned_nothing = {name for name, arm in runs.items() if _most(arm, _learned_nothing)}
    tested = {name for name, arm in runs.items() if _tested(arm)}
    if tested and learned_nothing == tested:
        text = "Every arm scores at chance: nothing was learned, and nothing can be compared."
        return [_caution("chance", None, text)]
    cautions: list[Caution] = []
    for name, arm in runs.items():
        told = list(_of_arm(results, arm, name in learned_nothing))
        if not WORSE & {caution["trouble"] for caution in told}:
            told = [*_far_below(results, arm, runs.get(PLAIN)), *told]
        cautions += told
    return cautions + list(_starved(results["arms"]))


def _caution(trouble: Trouble, arm: str | None, text: str) -> Caution:
    return {"trouble": trouble, "arm": arm, "text": text}


def _of_arm(results: Results, runs: ArmRuns, learned_nothing: bool) -> Iterator[Caution]:
    name, diverged = runs.name, results["arms"][runs.name]["trials"]["diverged"]
    untold = _tested(runs)
    if _most(runs, lambda run: is_constant(_confusion(run, runs.epoch))):
        text = (
            f"{name} collapsed: it predicts one class for everything{_since(untold, 'constant')}."
        )
        yield _caution("collapsed", name, text)
    elif learned_nothing:
        text = f"{name} scores at chance: it has learned nothing{_since(untold, 'chance')}."
        yield _caution("chance", name, text)
    elif runs.epoch == "last" and METRICS[runs.metric].in_points and _most(runs, _fell):
        vals = [(run.best_val, run.last_val) for run in _tested(runs)]
        best, last = shown(runs.metric, [float(v) for v in np.mean(vals, axis=0)])
        text = (
            f"{name} fell far below its own best: val {best} at its best epoch, {last} at the "
            f"last{_since(untold, 'fell')}."
        )
        yield _caution("fell", name, text)
    elif collapsed := [run for run in _tested(runs) if run.collapsed]:
        what = "; ".join(sorted({told(run.collapse or {}) for run in collapsed})[:TOLD])
        text = f"{_of(len(collapsed), runs)} of {name} collapsed: {what}."
        yield _caution("some collapsed", name, text)
        untold = [run for run in untold if not run.collapsed]
    yield from _of_meta_learning(runs, untold)
    if diverged:
        text = f"{count(diverged, 'trial')} of {name} diverged and counts as the worst score."
        yield _caution("diverged", name, text if diverged == 1 else text.replace("counts", "count"))


def _of_meta_learning(runs: ArmRuns, untold: Sequence[Record]) -> Iterator[Caution]:
    """What the meta step of final runs came to, where that is nothing.

    untold: those of which it has not been told.
    """
    for sign in sign_counts(untold):
        if sign not in SPOILING:
            shows = [run for run in untold if sign in (run.collapse or {})]
            where, since = _of(len(shows), runs), _since(shows, sign)
            text = f"In {where} of {runs.name} {MEANING[sign]}{since}."
            yield _caution(sign, runs.name, text)


def _far_below(results: Results, runs: ArmRuns, plain: ArmRuns | None) -> Iterator[Caution]:
    """Of an arm that lost more than half of what plain cross-entropy has above chance.

    The whole interval must say so; without one, the mean of the runs that there are.
    """
    metric, tested = runs.metric, _tested(plain) if plain else []
    if not plain or plain is runs or not tested or not METRICS[metric].in_points:
        return
    level = results["arms"][PLAIN]["test"][runs.epoch]["mean"]
    difference = estimate_json(compare_arms(runs, plain, results["margin"]).difference)
    learned = (level or 0.0) - 1 / len(_confusion(tested[0], runs.epoch))
    _, high, scope = interval_told(difference)
    most = difference["mean"] if scope == "none" else high
    if learned > 0 and most is not None and most < -max(learned / 2, results["margin"]):
        how = "scores far below" if scope == "none" else "is far worse than"
        gap = gap_text(metric, difference, results["margin"])
        text = f"{runs.name} {how} {PLAIN}: {gap}, more than half of what {PLAIN} has above chance."
        yield _caution("far below", runs.name, text)


def _of(n: int, runs: ArmRuns) -> str:
    return f"{n} of {count(len(_tested(runs)), 'final run')}"


def _since(runs: Sequence[Record], sign: Sign) -> str:
    """The epochs in which a sign began, where results tell them: `, since epoch 4 to 9`."""
    signs = [run.collapse or {} for run in runs]
    epochs = [of_run[sign] for of_run in signs if sign in of_run]
    if not epochs:
        return ""
    first, last = min(epochs), max(epochs)
    return f", {AT[sign]} epoch {first}" + (f" to {last}" if last > first else "")


def sign_counts(runs: Sequence[Record]) -> dict[Sign, int]:
    """In how many of the runs each sign of collapse shows."""
    return dict(Counter(sign for run in runs for sign in run.collapse or {}))


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
