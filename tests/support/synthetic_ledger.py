"""Studies on disk whose trials nobody trained: their results come from a formula."""

from collections.abc import Callable
from math import log2
from random import Random
from typing import Any
from unittest.mock import patch

from pipelines.documents import Json
from pipelines.execution.job_queue import JobQueue
from pipelines.ledger.ledger import Ledger
from pipelines.report.figures import study_figures
from pipelines.report.figures.plot import Figure
from pipelines.report.study_state import load_study_state
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study
from pipelines.trial_documents import EDGES
from tests.conftest import small_study

Outcome = Callable[[Json], tuple[Json, list[Json]] | Exception]

ARMS_OF_ALL_KINDS = (
    "ce",
    "gce",
    "sce_plus_meta",
    "gce_plus_meta",
    "finetune",
    "l2rw",
    "mw_net",
    "gce_learned",
)
CLASSES = [str(digit) for digit in range(10)]
PEAK = {"ce": 0.64, "gce": 0.75, "sce": 0.76, "l2rw": 0.95, "finetune": 0.948}
EPOCHS = 12


def write_study(
    storage: Any, study: Study, outcome: Outcome | None = None, limit: int | None = None
) -> str:
    """Plan and "run" a study in a storage; returns the storage as text.

    outcome: of each trial, by its spec; an exception fails it. By default all are completed.
    limit: number of trials after which to stop.
    """
    # Nobody pulls the plug, and waiting for the disk takes most of the time.
    with patch("os.fsync"):
        _run(Ledger.open(str(storage)), study, outcome or completed, limit)
    return str(storage)


def figures_of(storage: str) -> dict[str, Figure]:
    """The figures of the study in a storage, by name."""
    ledger, study_state = load_study_state(storage)
    return {f.name: f for f in study_figures(ledger, study_state, study_state.results())}


def large_study() -> Study:
    """More than 500 trials of all kinds of arms."""
    return small_study(ARMS_OF_ALL_KINDS, trials=26, repeats=3, seeds=2)


def study_of_everything() -> Study:
    """Axes, sensitivity runs, and just enough trials for hyperparameter importance."""
    return small_study(
        ("ce", "gce_plus_meta", "finetune", "l2rw"),
        trials=7,
        repeats=3,
        axes={"noise.rate": [0.2, 0.0]},
        sensitivity=["gce_plus_meta", "l2rw"],
    )


def with_known_knobs(spec: Json) -> tuple[Json, list[Json]]:
    """Scores 90 % where no knob is moved.

    2 points less per doubling or halving of l2rw's learning rate, 0.2 more from repeat to repeat;
    four times its learning rate lets gce_plus_meta diverge.
    """
    result, history = completed(spec)
    factor = spec["config"].get("schedule.lr", 0.05) / 0.05
    if spec["arm"] == "gce_plus_meta" and factor == 4:
        return diverged(spec)
    if spec["arm"] == "l2rw":
        score = 0.9 - 0.02 * abs(log2(factor)) + 0.002 * spec["repeat"]
        result["val"] = result["held_out"]["score"] = {"last": score, "selected": score}
    return result, history


def _run(ledger: Ledger, study: Study, outcome: Outcome, limit: int | None) -> None:
    protocol = study.protocol.model_dump(mode="json")
    digest = protocol_hash(study.protocol, "data")
    ledger.create_study(
        {"name": study.name, "hash": digest, "fingerprint": "data", "protocol": protocol}
    )
    request = study.model_dump(mode="json", include={"about", "request"})
    ledger.write_request(request | {"arms": study.own_arms})
    queue, done = JobQueue(study, digest, ledger), 0
    while done != limit and (job := queue.next()) is not None:
        attempt = ledger.attempt(job.spec["key"], job.attempt)
        ended = outcome(job.spec | {"protocol": protocol})
        if isinstance(ended, Exception):
            attempt.fail(ended, "code")
        elif job.rung:
            result, rows = ended[0], ended[1][: job.rung.epoch]
            details = {name: result[name] for name in ("cost", "provenance")}
            attempt.stop(job.rung, rows, details | {"passes": rows[-1]["passes"]})
        else:
            attempt.finish(*ended)
        queue.ended(job.spec["key"])
        done += 1


def completed(spec: Json, classes: list[str] = CLASSES) -> tuple[Json, list[Json]]:
    """Result and history of a run that finished; the same for the same seeds and configuration."""
    random = Random(str([spec["arm"], spec["config"], spec["data_seed"], spec["run_seed"]]))
    q = spec["config"].get("q", 0.5)
    test = PEAK.get(spec["arm"], 0.9) - 0.1 * (q - 0.6) ** 2 + random.gauss(0, 0.004)
    val = test + random.gauss(0, 0.01)
    history = [_row(spec, epoch, val, random) for epoch in range(1, EPOCHS + 1)]
    scores = {"last": test, "selected": test + 0.001}
    hits = round(50 * test)
    confusion = [[0] * len(classes) for _ in classes]
    for i, row in enumerate(confusion):
        row[i] = hits
        row[1 if i == 0 else 0] = 50 - hits  # class 0 is called too often
    result = {
        "status": "completed",
        "epochs": EPOCHS,
        "val": {"last": val, "selected": val},
        "held_out": {
            "score": scores,
            **{rule: {"accuracy": s, "confusion": confusion} for rule, s in scores.items()},
        },
        "passes": 9000 if spec["arm"] in ("l2rw", "mw_net") else 3000,
        **_circumstances(spec, classes),
    }
    return result, history


def diverged(spec: Json) -> tuple[Json, list[Json]]:
    """Result and history of a run whose loss was not finite in its second epoch."""
    worst = {"last": 0.0, "selected": 0.0}
    result = {
        "status": "diverged",
        "epochs": 2,
        "val": worst,
        "held_out": {"score": worst},
        "passes": 500,
        **_circumstances(spec, CLASSES),
    }
    return result, [{"epoch": 1, "val/accuracy": 0.1}, {"epoch": 2, "train/loss": None}]


def _circumstances(spec: Json, classes: list[str]) -> Json:
    noise = spec["protocol"]["noise"]
    return {
        "cost": {"seconds": 1.5, "peak_memory": 10**8},
        "data": {
            "examples": 1797,
            "classes": classes,
            "sizes": {"train": 1097, "meta": 100, "val": 100, "test": 500},
            "counts": {"train": [100, *[97] * (len(classes) - 1)]},
            "noise": {
                "kind": noise["kind"],
                "nominal": noise["rate"],
                "measured": {"train": noise["rate"] - 0.01, "val": 0.0},
            },
        },
        "provenance": {
            "commit": None,
            "code": "c0de",
            "processor": "abacus",
            "versions": {"python": "3.11", "torch": "2.15"},
        },
    }


def _row(spec: Json, epoch: int, val: float, random: Random) -> Json:
    share = epoch / EPOCHS
    row: Json = {
        "epoch": epoch,
        "passes": epoch * (750 if spec["arm"] in ("l2rw", "mw_net") else 250),
        "train/loss": 2 - share,
        "val/accuracy": 0.1 + (val - 0.1) * share,
        "val/nll": 1 - share,
        "val/worst_class_recall": share * spec["config"].get("q", 0.5),
    }
    if epoch in (1, EPOCHS):
        bins = range(len(EDGES))
        row["weights/clean"] = [random.randrange(5 * (i + 1)) for i in bins]
        row["weights/corrupted"] = [random.randrange(5 * (len(EDGES) - i)) for i in bins]
        row["weights/auroc"] = 0.8 + random.gauss(0, 0.02)
        row["corrupted/memorised"] = 0.1 + 0.5 * share
        row["corrupted/recovered"] = 0.7 - 0.4 * share
    if spec["arm"] == "mw_net":
        row["learned/weight_function"] = [1 / (1 + share * loss) for loss in range(41)]
    if spec["arm"] == "cmw_net":
        for head in (1, 2, 3):
            row[f"learned/weight_function_{head}"] = [head / (1 + head * share)] * 41
    if spec["arm"] == "gce_learned":
        row["learned/q"] = 0.7 - 0.1 * share + random.gauss(0, 0.005)
    return row
