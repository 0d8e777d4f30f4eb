"""The command `trial`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import format_number
from pipelines.errors import UserError
from pipelines.report.study_state import open_study
from pipelines.study.protocol import with_changes
from pipelines.study.training_spec import TrainingSpec


def rerun_trial(storage: str, key: str, console: Console) -> int:
    """Run a recorded trial again in this process; 0 if every number is the same, 1 if not."""
    from pipelines.documents import differences
    from pipelines.training.fast_paths import FastPaths
    from pipelines.training.trial import run_trial

    ledger, _, study = open_study(storage)
    recorded = ledger.trial(key)
    if recorded is None:
        raise UserError(f"storage {storage!r} has no trial {key!r}; `status` and trials/ show them")
    result = None
    made_by = (recorded.result or {}).get("provenance", {})
    fast = FastPaths.without(made_by.get("without", ()))
    protocol = with_changes(study.protocol, recorded.spec["change"])
    for progress in run_trial(TrainingSpec.of(recorded.spec, protocol), fast=fast):
        if progress.row is not None:
            shown = {n: v for n, v in progress.row.items() if isinstance(v, int | float | str)}
            console.print(
                "  ".join(f"{n} {format_number(v)}" for n, v in shown.items()), markup=False
            )
        result = progress.result
    assert result is not None
    if recorded.result is None:
        console.print(f"{key}: {result['status']}; the ledger has no result to compare with")
        return 0
    differing = differences(recorded.result, result)
    verdict = (
        "differs in " + ", ".join(differing) if differing else "is identical to the recorded one"
    )
    console.print(f"{key}: {result['status']}; the result {verdict}")
    return 1 if differing else 0
