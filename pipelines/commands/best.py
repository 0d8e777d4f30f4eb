"""The command `best`."""

from __future__ import annotations

import json

from pipelines.analysis.selection import best_arm, best_run, mean_vals
from pipelines.errors import UserError
from pipelines.report.study_state import load_study_state
from pipelines.trial_documents import MODEL


def show_best(storage: str, arm: str | None) -> None:
    """The chosen configuration of an arm as JSON, where its model is, and how to load it."""
    _, study_state = load_study_state(storage)
    records, arms = study_state.records, study_state.study.arms
    name = arm or best_arm(mean_vals(records, arms))
    if name is None:
        raise UserError("no final trial is finished yet")
    if name not in arms:
        raise UserError(f"arm {name!r} is not in this study; it has {', '.join(arms)}")
    chosen = best_run([r for r in records if r.arm == name])
    if chosen is None:
        raise UserError(
            f"arm {name!r} has no completed final trial with a score on val yet; an arm that "
            "trains on val never has"
        )
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
