"""What an arm lacks for a full answer, one plain line each: the `missing` of results.json."""

from collections import Counter
from collections.abc import Iterator

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.runs import MIN_UNITS
from pipelines.analysis.stopped_searches import StoppedSearches
from pipelines.analysis.words import count


def gaps(runs: ArmRuns, stopped: StoppedSearches | None, curves: bool) -> list[str]:
    """The gaps of one arm.

    stopped: its searches, had trials been stopped early; None of an arm that is not tuned.
    curves: whether budget curves are drawn, so that curve runs are needed.
    """
    if not runs.records:
        return [f"{runs.name}: no trial has finished"]
    tuned = stopped is not None
    lines = [*_failures(runs), *_absent_roles(runs, tuned, curves), *_stale_runs(runs)]
    if tuned:
        lines += _short_searches(runs, curves)
    if stopped and curves and stopped.lost:
        lines.append(f"early stopping lacks histories in repeats {stopped.lost}")
    return [f"{runs.name}: {line}" for line in lines]


def _failures(runs: ArmRuns) -> Iterator[str]:
    planned = Counter(r.role for r in runs.records)
    failed = Counter(r.role for r in runs.records if r.status == "failed")
    return (f"{n} of {planned[role]} {role} runs failed" for role, n in failed.items())


def _absent_roles(runs: ArmRuns, tuned: bool, curves: bool) -> Iterator[str]:
    searched = ("search", "default", *(("curve",) if curves else ()), "final")
    present = {r.role for r in runs.records}
    needed = searched if tuned else ("final",)
    return (f"no {role} runs" for role in needed if role not in present)


def _stale_runs(runs: ArmRuns) -> Iterator[str]:
    stale = sum(1 for _ in runs.in_role("final")) - len(runs.final_runs)
    if stale:
        yield f"{stale} final runs are of a configuration no longer selected"


def _short_searches(runs: ArmRuns, curves: bool) -> Iterator[str]:
    retrained = any(True for _ in runs.in_role("curve"))
    if curves and retrained and (lost := runs.search.keys() - runs.curves()):
        yield f"budget curve lacks retrained runs in repeats {sorted(lost)}"
    if 0 < len(runs.search) < MIN_UNITS:
        yield f"{count(len(runs.search), 'search')}; interval not available"
