"""What became of a launch: whether an arm has come to nothing, and why."""

from __future__ import annotations

from collections import defaultdict

from pipelines.ledger.record import TrialRecord
from pipelines.report.study_state import StudyState

ALL_FAILED = 3  # exit status of a launch in which all trials of an arm failed


def failed_arms(study_state: StudyState) -> list[str]:
    """For each arm of which all trials failed, a line per class of error."""
    by_arm: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in study_state.trials.values():
        by_arm[trial.spec["arm"]].append(trial)
    return [
        line
        for arm in study_state.study.arms
        if by_arm[arm] and all(trial.state == "failed" for trial in by_arm[arm])
        for line in _reasons(arm, by_arm[arm])
    ]


def _reasons(arm: str, trials: list[TrialRecord]) -> list[str]:
    by_class: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        by_class[(trial.error or {}).get("class", "unknown")].append(trial)
    lines = []
    for name, failed in sorted(by_class.items()):
        error = failed[0].error or {}
        message = " ".join(f"{error.get('type')}: {error.get('message')}".split())
        count = f"{len(failed)} of {len(trials)} trials failed ({name})"
        lines.append(f"arm {arm!r}: {count}: {message}")
    return lines
