"""Every trial of a study as one row: for trials.csv, and for the table and views of the page."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import dataclass

from pipelines.analysis.record import Record
from pipelines.collapse import Signs, signs_at, spoiled, told
from pipelines.documents import Json, decode
from pipelines.ledger.layout import trial_folder
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS
from pipelines.report.figures.plot import rounded
from pipelines.report.study_state import StudyState
from pipelines.trial_documents import EDGES, HistoryRow

PUBLICATIONS = "wandb.json"  # written by `report --wandb`: what is published where
DRAWN_TRIALS = 1000  # of so many the page holds curves; of larger studies, of the final runs
POINTS = 24_000  # of all curves together: half a megabyte
FIELDS = (
    "key", "scenario", "arm", "role", "also", "repeat", "index", "status", "val", "test",
    "seconds", "passes", "data_seed", "run_seed", "collapse", "stopped_epoch",
)  # fmt: skip


@dataclass(frozen=True)
class TrialRow:
    """A trial and what came of it.

    also: further roles that it serves. val, test: scores under the study's epoch rule; None
    where it has none. signs: of collapse, where they are known. stopped_epoch: where it was
    stopped early, for good or for now.
    """

    trial: TrialRecord
    also: str
    val: float | None
    test: float | None
    signs: Signs | None = None
    stopped_epoch: int | None = None

    @property
    def status(self) -> str:
        """Its state; one that went beyond where a rule now stops it has been stopped, too."""
        return self.trial.state if self.stopped_epoch is None else "stopped"

    @property
    def values(self) -> Json:
        """Its entries of `FIELDS`, and its configuration by address below `config.`."""
        spec, result = self.trial.spec, self.trial.result
        taken = result or self.trial.stopped or {}
        return {
            "key": self.trial.key,
            "scenario": spec["scenario"],
            "arm": spec["arm"],
            "role": spec["role"],
            "also": self.also,
            "repeat": spec["repeat"],
            "index": spec["index"],
            "status": self.status,
            "val": self.val,
            "test": self.test,
            "seconds": taken.get("cost", {}).get("seconds"),
            "passes": taken.get("passes"),
            "data_seed": spec["data_seed"],
            "run_seed": spec["run_seed"],
            "collapse": told(self.signs or {}),
            "stopped_epoch": self.stopped_epoch,
            **{f"config.{name}": value for name, value in spec["config"].items()},
        }


def trial_rows(study_state: StudyState) -> list[TrialRow]:
    """The trials of a study that have been begun, in the order of the plan; then any others."""
    records: dict[str, list[Record]] = defaultdict(list)
    for record in (r for records in study_state.all_records_in.values() for r in records):
        records[record.key].append(record)
    order = dict.fromkeys([*records, *study_state.trials])
    trials = [study_state.trials[key] for key in order]
    epoch = study_state.study.protocol.epoch
    return [
        _row(trial, records.get(trial.key, []), epoch)
        for trial in trials
        if trial.state != "planned"
    ]


def _row(trial: TrialRecord, records: list[Record], epoch: str) -> TrialRow:
    also = dict.fromkeys(r.role for r in records if r.role != trial.spec["role"])
    stop = next((r.stopped_epoch for r in records if r.stopped_epoch), None)
    if stop is None and trial.state == "stopped" and trial.stopped:
        stop = trial.stopped["epoch"]
    if stop is not None:
        return TrialRow(trial, " ".join(also), None, None, stopped_epoch=stop)
    result = trial.result or {}
    val = (result.get("val") or {}).get(epoch)
    test = (result.get("held_out") or {}).get("score", {}).get(epoch)
    val, test = rounded_away([val, test])
    return TrialRow(trial, " ".join(also), val, test, signs_at(result, epoch))


def rounded_away(values: list[float | None]) -> list[float | None]:
    """None for what is not finite, which JSON has no word for."""
    return [value if value is not None and abs(value) < float("inf") else None for value in values]


def trials_csv(rows: list[TrialRow]) -> str:
    """One line per trial; a column for each address that any configuration has."""
    values = [row.values for row in rows]
    addresses = dict.fromkeys(name for row in values for name in row if name.startswith("config."))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FIELDS, *addresses], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(values)
    return text.getvalue()


def trials_for_page(ledger: Ledger, study_state: StudyState) -> Json:
    """What the page's script shows: a row per trial with its files and, within bounds, its curves.

    Scores are in the units shown.
    """
    rows = trial_rows(study_state)
    metric = METRICS[study_state.study.protocol.metric]
    drawn = [row.trial for row in rows if row.trial.history_path]
    if len(drawn) > DRAWN_TRIALS:
        drawn = [trial for trial in drawn if trial.spec["role"] == "final"][:DRAWN_TRIALS]
    histories = ledger.histories(drawn)
    points = max(2, POINTS // max(1, len(histories)))
    val = f"val/{study_state.study.protocol.metric}"
    factor = metric.scale * metric.score(1.0)
    return {
        "metric": metric.title,
        "edges": EDGES,
        "scale": metric.scale,
        "digits": 1 if metric.in_points else 4,
        "tracked": _tracked(ledger),
        "trials": [
            _entry(row) | _curves(histories.get(row.trial.key, []), val, factor, points)
            for row in rows
        ],
    }


def _entry(row: TrialRow) -> Json:
    trial = row.trial
    values = row.values
    error = trial.error or {}
    status = "collapsed" if spoiled(row.signs) else row.status
    return {name: values[name] for name in FIELDS[:11]} | {
        "status": status,
        "collapse": values["collapse"],
        "config": trial.spec["config"],
        "folder": trial_folder(trial.key),
        "files": _files(trial),
        "error": f"{error['type']}: {error['message']}" if trial.state == "failed" else None,
    }


def _files(trial: TrialRecord) -> list[str]:
    """What there is to read of a trial, from its study's storage on; its log is last."""
    folder = trial_folder(trial.key)
    files = [f"{folder}/spec.json"]
    files += [f"{folder}/result.json"] if trial.result else []
    files += [trial.history_path] if trial.history_path else []
    if trial.state == "failed":
        files.append(f"{folder}/attempts/{trial.attempts}/traceback.txt")
    return files


def _curves(history: list[HistoryRow], val: str, factor: float, points: int) -> Json:
    """Val and training loss by epoch, thinned out to so many points; the newest weights.

    val: the score's name in a row. factor: from a value of the metric to the score that is shown.
    """
    if not history:
        return {}
    last = len(history) - 1
    kept = [history[i] for i in sorted({round(k * last / (points - 1)) for k in range(points)})]
    weights = next((row for row in reversed(history) if row.get("weights/clean")), {})
    curves: Json = {
        "epochs": [row["epoch"] for row in kept],
        "vals": rounded(_times(row.get(val), factor) for row in kept),
        "losses": rounded(row.get("train/loss") for row in kept),
    }
    if weights:
        curves["weights"] = [weights["weights/clean"], weights["weights/corrupted"]]
    return curves


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _tracked(ledger: Ledger) -> Json | None:
    """Where W&B has the trials' runs, if the study was published: {key} in `url`, their keys."""
    publications = decode(ledger.storage.read(PUBLICATIONS)) or {}
    for publication in publications.values():
        if "run_url" in publication:
            return {"url": publication["run_url"], "keys": publication["runs"]}
    return None
