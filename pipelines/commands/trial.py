"""The command `trial`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import format_number
from pipelines.commands.which_study import check_data_is_there
from pipelines.data.dataset import preview as first_of
from pipelines.errors import UserError
from pipelines.ledger.contents import listings
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import open_study
from pipelines.study.protocol import with_changes
from pipelines.study.training_spec import TrainingSpec
from pipelines.study.validation import did_you_mean, preview


def rerun_trial(storage: str, key: str, console: Console) -> int:
    """Run a recorded trial again in this process; 0 if every number is the same, 1 if not.

    key: of the trial, or the beginning of its key.
    """
    from pipelines.documents import differences
    from pipelines.training.fast_paths import FastPaths
    from pipelines.training.trial import run_trial

    ledger, _, study = open_study(storage)
    key = _whole_key(ledger, key)
    check_data_is_there(study, storage)
    recorded = ledger.trial(key)
    if recorded is None:
        raise UserError(f"storage {storage!r}: spec.json of trial {key!r} is damaged or gone")
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


def _whole_key(ledger: Ledger, given: str) -> str:
    """The key of the one trial that a key, or the beginning of one, stands for.

    Raises:
        UserError: there is none, or more than one.
    """
    keys = sorted(listings(ledger.storage))
    if given in keys:
        return given
    meant = [key for key in keys if key.startswith(given)]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise UserError(
            f"trial {preview(given)}: there is none whose key begins so among the {len(keys)} in "
            f"trials/{did_you_mean(given, keys)}"
        )
    raise UserError(
        f"trial {given!r}: {len(meant)} keys begin so: {first_of(meant)}; write out more of it"
    )
