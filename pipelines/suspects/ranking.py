"""Training examples ranked by how likely their label is wrong, by the models of the final trials.

The score of an example is the margin by which its given label loses against the best other class,
max over k != y of p_k - p_y, in [-1, 1], with p averaged over the run seeds of a repeat, then over
the repeats that train on this example with this label. (The negative of the normalized margin of
Northcutt et al., "Confident Learning", JAIR 2021, section 4.) docs/suspects.md has the measurements
behind this choice: weights and training losses rank worse, and not at all in arms that do not train
on every example.
"""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.analysis.intervals import Estimate, estimate
from pipelines.analysis.record import Record
from pipelines.analysis.selection import best_arm, final_runs, mean_vals
from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.task import Split, prepare
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.metrics import auroc
from pipelines.models.classifier import Classifier, load_model
from pipelines.report.study_state import StudyState
from pipelines.trial_documents import EXAMPLES, MODEL

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

BATCH = 1024
CUTS = (50, 100)  # k of precision at k, beside the number of wrong labels


@dataclass(frozen=True)
class Suspect:
    """A training example and its given label.

    row: in the data set. score: in [-1, 1], above 0 if the models prefer another class, which is
    `suggested`. weight: on the example's gradient when last observed, relative to the mean weight;
    nan if the arm does not train on it. true: the true label, where the study knows of wrong ones.
    repeats: number of repeats that train on this example with this label.
    """

    row: int
    name: str
    given: str
    suggested: str
    score: float
    weight: float
    true: str | None
    repeats: int


@dataclass(frozen=True)
class Suspects:
    """The ranking, most suspicious first, and how good it is where the truth is known.

    quality: estimates over repeats, named as in `ranking_quality`; None if no wrong label is known.
    known, wrong: training labels per repeat, on average, whose truth is known, and that are wrong.
    """

    arm: str
    ranking: list[Suspect]
    quality: dict[str, Estimate] | None
    known: float
    wrong: float


@dataclass(frozen=True)
class _Judged:
    """The training split of one repeat, with probabilities [n, K] and relative weights [n]."""

    split: Split
    probabilities: Floats
    weights: Floats


def find_suspects(ledger: Ledger, study_state: StudyState, arm: str | None = None) -> Suspects:
    """Rank the training examples of a study under its own protocol.

    arm: whose final models judge; by default the arm with the highest mean val.

    Raises:
        UserError: no such arm is in the study, or none of its final trials is completed.
    """
    dataset = load_dataset(study_state.study.protocol.data)
    if dataset.fingerprint != study_state.document["fingerprint"]:
        raise UserError(
            f"study {study_state.study.name!r}: the content of the data has changed since it ran, "
            "so its models do not know these examples; bring the data back, or run the study again"
        )
    finals = _finals(study_state, arm)
    repeats: dict[int, list[Record]] = defaultdict(list)
    for record in finals:
        repeats[record.repeat].append(record)
    judged = [_judge(ledger, study_state, records) for _, records in sorted(repeats.items())]
    quality, known, wrong = _quality(judged)
    ranking = _rank(judged, dataset, told=quality is not None)
    return Suspects(finals[0].arm, ranking, quality, known, wrong)


def _finals(study_state: StudyState, arm: str | None) -> list[Record]:
    """Completed final trials of an arm, by default of the one with the highest mean val."""
    if arm is not None and arm not in study_state.study.arms:
        raise UserError(
            f"arm {arm!r} is not in this study; it has {', '.join(study_state.study.arms)}"
        )
    chosen = arm or best_arm(mean_vals(study_state.records, study_state.study.arms))
    finals = final_runs([r for r in study_state.records if r.arm == chosen])
    completed = [r for r in finals if r.status == "completed"]
    if not completed:
        raise UserError(f"{f'arm {arm!r} has' if arm else 'there is'} no completed final trial yet")
    return completed


def _judge(ledger: Ledger, study_state: StudyState, records: list[Record]) -> _Judged:
    """What the final models of one repeat say, on average over their run seeds."""
    train = prepare(study_state.study.protocol, records[0].data_seed).train
    probabilities, weights = [], []
    for record in records:
        result = study_state.trials[record.key].result
        assert result is not None
        folder = f"trials/{record.key}/attempts/{result['attempt']}"
        model, examples = (ledger.storage.read(f"{folder}/{name}") for name in (MODEL, EXAMPLES))
        if model is None or examples is None:
            raise UserError(
                f"{folder}: {MODEL} or {EXAMPLES} is missing; `prune --models` keeps those of each "
                "arm's best trial alone"
            )
        probabilities.append(_predict(load_model(io.BytesIO(model)), train))
        weight = torch.load(io.BytesIO(examples), weights_only=True)["weight"].double()
        weights.append(weight / weight.nanmean())
    mean_weight = torch.stack(weights).nanmean(dim=0).numpy()
    return _Judged(train, np.mean(probabilities, axis=0), mean_weight)


@torch.inference_mode()
def _predict(model: Classifier, split: Split) -> Floats:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    found = [model(x.to(device)).double().softmax(dim=1).cpu() for x in split.x.split(BATCH)]
    return torch.cat(found).numpy()


def without_given(probabilities: Floats, labels: Labels) -> Floats:
    """Probabilities [n, K] with that of the given label [n] replaced by -inf."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others


def margins(probabilities: Floats, labels: Labels) -> Floats:
    """max over k != y of p_k - p_y, [n], of probabilities [n, K] and given labels y [n]."""
    best_other = without_given(probabilities, labels).max(axis=1)
    return best_other - probabilities[np.arange(len(labels)), labels]


def _rank(judged: list[_Judged], dataset: Dataset, told: bool) -> list[Suspect]:
    """One entry per example and given label: another repeat's noise may give another label."""
    found: dict[tuple[int, int], list[tuple[Floats, float]]] = defaultdict(list)
    for repeat in judged:
        pairs = zip(repeat.split.index.tolist(), repeat.split.y.tolist(), strict=True)
        for pair, p, weight in zip(pairs, repeat.probabilities, repeat.weights, strict=True):
            found[pair].append((p, weight))
    labels = np.array([label for _, label in found])
    mean = np.stack([np.mean([p for p, _ in seen], axis=0) for seen in found.values()])
    scores, suggested = margins(mean, labels), without_given(mean, labels).argmax(axis=1)
    names, truth = dataset.classes, dataset.truth
    suspects = [
        Suspect(
            row=row,
            name=dataset.names[row],
            given=names[label],
            suggested=names[other],
            score=float(score),
            weight=fmean(weight for _, weight in seen),
            true=names[truth[row]] if told and truth[row] >= 0 else None,
            repeats=len(seen),
        )
        for ((row, label), seen), score, other in zip(found.items(), scores, suggested, strict=True)
    ]
    return sorted(suspects, key=lambda s: (-s.score, s.row, s.given))


def _quality(judged: list[_Judged]) -> tuple[dict[str, Estimate] | None, float, float]:
    """Estimates over repeats, each ranked by itself; known and wrong labels per repeat."""
    values: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    known, wrong = [], []
    for number, repeat in enumerate(judged):
        truth, labels = repeat.split.truth.numpy(), repeat.split.y.numpy()
        scores = margins(repeat.probabilities, labels)[truth >= 0]
        bad = (truth != labels)[truth >= 0]
        known.append(len(bad))
        wrong.append(int(bad.sum()))
        if bad.any() and not bad.all():
            for name, value in ranking_quality(scores, bad).items():
                values[name][number, 0] = value
    quality = {name: estimate(runs) for name, runs in values.items()} or None
    return quality, fmean(known), fmean(wrong)


def ranking_quality(scores: Floats, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """How well scores [n] tell which labels are wrong [n]: some of them, not all.

    AUROC, and precision at k, the share of wrong labels among the k highest scores, for k = the
    number of wrong labels ("all") and for each of CUTS that is not above n.
    """
    order = wrong[np.argsort(-scores, kind="stable")]
    cuts = {"all": int(wrong.sum())} | {str(k): k for k in CUTS if k <= len(wrong)}
    precision = {f"precision_at_{name}": float(order[:k].mean()) for name, k in cuts.items()}
    area = auroc(scores, wrong)
    assert area is not None  # both wrong and right labels are there
    return {"auroc": area, **precision}
