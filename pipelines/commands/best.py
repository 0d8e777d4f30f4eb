"""The command `best`."""

from __future__ import annotations

import json

from pipelines.errors import UserError
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.trial_documents import MODEL


def show_best(storage: str, arm: str | None) -> None:
    """The chosen configuration of an arm as JSON, where its model is, and how to load it."""
    _, study_state = load_study_state(storage)
    name = arm or _best_arm(study_state)
    if name not in study_state.study.arms:
        raise UserError(
            f"arm {name!r} is not in this study; it has {', '.join(study_state.study.arms)}"
        )
    finals = [
        r for r in study_state.records if r.arm == name and r.role == "final" and r.val == r.val
    ]
    if not finals:
        raise UserError(
            f"arm {name!r} has no final trial with a score on val yet; an arm that trains on val "
            "never has"
        )
    chosen = max(finals, key=lambda r: (r.val, -r.repeat, -r.index))
    trial = study_state.trials[chosen.key]
    assert trial.result is not None
    path = f"{storage}/trials/{chosen.key}/attempts/{trial.result['attempt']}/{MODEL}"
    description = {
        "arm": name,
        "chosen_by": "val",
        "val": chosen.val,
        "config": chosen.config,
        "phases": trial.spec["phases"],
        "trial": chosen.key,
        "checkpoint": path,
        "load": [
            "from pipelines.models.classifier import load_model",
            f"model = load_model({path!r})",
        ],
    }
    print(json.dumps(description, indent=2))


def _best_arm(study_state: StudyState) -> str:
    """The arm with the highest mean val over its final trials: never chosen by test."""
    finals = [r for r in study_state.records if r.role == "final" and r.val == r.val]
    if not finals:
        raise UserError("no final trial is finished yet")
    means = {
        arm: sum(v) / len(v)
        for arm in study_state.study.arms
        if (v := [r.val for r in finals if r.arm == arm])
    }
    return max(means, key=lambda arm: means[arm])
