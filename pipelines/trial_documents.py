"""The documents of a trial: its spec, its result and its history, and the files beside them.

All are plain JSON. What a study's other trials have in common is not in them: see `study.json`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from pipelines.collapse import Signs
from pipelines.documents import Json

MODEL, EXAMPLES = "model.pt", "examples.pt"
#: Edges of the histograms of example weights, in units of the mean weight; the last bin is open.
EDGES = [0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
LOSS_GRID = [0.25 * i for i in range(42)]  # edges of the bins of a learned weight function
WEIGHT_FUNCTION = "learned/weight_function"  # starts its name in a row: a method may learn several

Role = Literal["common", "search", "curve", "default", "final", "sensitivity"]
HistoryRow = Json
"""One epoch: `epoch`, `phase`, `lr`, `train/…`, `val/…`, `weights/…`, `corrupted/…`, `learned/…`"""


class Rung(NamedTuple):
    """Where a trial is to stop for now, counted in epochs, and what says so."""

    epoch: int
    why: str


class TrialSpec(TypedDict):
    """spec.json: what a trial is for, and all that its numbers depend on beside the protocol."""

    key: str
    arm: str
    role: Role
    repeat: int
    index: int  # among the trials of its role
    config: dict[str, Any]  # tuned values by address
    scenario: str  # "": the study's own protocol
    change: Json  # of the protocol, by address
    data_seed: int
    run_seed: int
    phases: list[Json]
    space: str  # digest of the search space that config was drawn from


class Scores(TypedDict):
    """A score under either epoch rule."""

    last: float
    selected: float


class FinalScores(TypedDict):
    """Scores on val, where nothing trained on it, and the metrics on test: for statistics alone.

    held_out: `score` and, if it did not diverge, `last` and `selected` with all metrics, and
        `correct`: by epoch rule which test examples were classified right, under the attack where
        that is what is scored (`pipelines.stored_predictions.unpack_hits`; not in 0.1).
    """

    val: Scores | None
    held_out: Json


class NoiseDescription(TypedDict):
    """Label noise: what the study asked for, and what came of it."""

    kind: str
    nominal: float
    measured: dict[str, float | None]  # of train and val: wrong labels among those of known truth


class DataDescription(TypedDict):
    """What a record says of the data of a trial."""

    fingerprint: str  # of the whole data set: values, labels, test set, classes
    splits: str  # SHA-256 of rows and labels of all four splits
    examples: int  # of the whole data set
    classes: list[str]
    sizes: dict[str, int]  # examples of each split
    counts: dict[str, list[int]]  # of each split, labels of each class [K]
    val_labels: Literal["clean", "corrupted"]
    noise: NoiseDescription
    verified: NotRequired[list[list[int]] | Json]  # of a trusted list, its labels by those given
    left_out: NotRequired[int]  # broken images, where there were any and the study allows it


class Outcome(FinalScores):
    """What a trial came to."""

    status: Literal["completed", "diverged"]
    epochs: int
    selected_epoch: int | None
    passes: int
    learned: Json
    weights_auroc: float | None
    collapse: NotRequired[Signs]  # signs of collapse, and since when; not in 0.1
    data: DataDescription
    cost: Json  # seconds, peak_memory, gpus, ...: differs from run to run


class TrialResult(Outcome):
    """result.json: an outcome, the attempt that came to it, and what it was computed with."""

    attempt: int
    provenance: Json
    files: NotRequired[dict[str, str]]  # SHA-256 of what the attempt left beside it; not in 0.1
