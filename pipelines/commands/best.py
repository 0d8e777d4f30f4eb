"""The command `best`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from pipelines.collapse import told
from pipelines.data.sources import source_named
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import is_url
from pipelines.report.study_state import load_study_state
from pipelines.trial_documents import MODEL


def show_best(storage: str, arm: str | None, export: str | None = None) -> None:
    """The chosen configuration of an arm as JSON, where its model is, and lines that predict.

    A model that has collapsed is chosen only where there is no other one, and is named as such.
    export: file that the model is written to for programs without untuned.

    Raises:
        UserError: there is no such run, or its model cannot be exported.
    """
    ledger, study_state = load_study_state(storage)
    chosen = study_state.best_run(arm)
    trial = study_state.trials[chosen.key]
    assert trial.result is not None
    if export:
        _export(ledger, trial, export)
    path = f"{storage}/trials/{chosen.key}/attempts/{trial.result['attempt']}/{MODEL}"
    data = study_state.study.protocol.data
    # A model in an object store is no file that could be opened by its name.
    place = f"open_study({storage!r}).load_model({chosen.key!r})" if is_url(storage) else None
    load = ["import untuned", f"model = untuned.{place or f'load_model({_anywhere(path)!r})'}"]
    example = source_named(data.source).example(data)
    predict = [*load, *example, "print(model.predict(inputs))"] if example else []
    description = {
        "arm": chosen.arm,
        "chosen_by": "val",
        "val": chosen.val,
        "collapse": chosen.collapse or {},
        "config": chosen.config,
        "phases": trial.spec["phases"],
        "trial": chosen.key,
        "checkpoint": path,
        **({"exported": export} if export else {}),
        "load": load,
        "predict": predict,
    }
    print(json.dumps(description, indent=2))
    if sys.stdout.isatty():  # a person's, to be copied; a program reads JSON alone
        print("", *(predict or load), sep="\n")
    if chosen.collapsed:
        what = f"every final run of {chosen.arm} has collapsed: {told(chosen.collapse or {})}"
        print(f"warning: {what}", file=sys.stderr)


def _anywhere(path: str) -> str:
    """A path that holds in another folder, too."""
    return str(Path(path).resolve())


def _export(ledger: Ledger, trial: TrialRecord, file: str) -> None:
    from pipelines.prediction.export import export
    from pipelines.prediction.predictor import load_predictor

    saved = ledger.artifact(trial, MODEL)
    if saved is None:
        raise UserError(f"trial {trial.key!r}: {MODEL} is missing or damaged")
    export(load_predictor(io.BytesIO(saved)), file)
