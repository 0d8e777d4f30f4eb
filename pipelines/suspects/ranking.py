"""Training examples ranked by how likely their label is wrong, by the models of the final trials.

An entry of the ranking is an example with a given label: another repeat's noise may give it
another label. Its score is the margin of `scores.py`, of probabilities that are averaged over the
run seeds of a repeat, then over the repeats that train on this example with this label.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.intervals import Estimate, estimate
from pipelines.analysis.record import Record
from pipelines.analysis.selection import final_runs, useful_runs
from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import StudyState
from pipelines.suspects.predictions import RepeatPredictions, predict_repeats
from pipelines.suspects.scores import Floats, margins, ranking_quality, without_given

KnownLabels = tuple[Floats, NDArray[np.bool_]]  # their scores, and which of them are wrong


@dataclass(frozen=True)
class Suspect:
    """A training example and its given label.

    row: in the data set.
    suggested: the class that the models prefer to all others but the given one.
    score: in [-1, 1], above 0 if they prefer it to the given one too.
    weight: on the example's gradient when last observed, relative to the mean weight; nan if the
        arm does not train on it.
    true: the true label, where the study knows of wrong ones.
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
    known: training labels per repeat, on average, whose truth is known.
    wrong: those of them that are wrong.
    collapsed: whether all models that judge have collapsed, since there is no other one.
    """

    arm: str
    ranking: list[Suspect]
    quality: dict[str, Estimate] | None
    known: float
    wrong: float
    collapsed: bool = False


def find_suspects(ledger: Ledger, study_state: StudyState, arm: str | None = None) -> Suspects:
    """Rank the training examples of a study under its own protocol.

    arm: whose final models judge; by default the arm with the highest mean val.

    Raises:
        UserError: no such arm is in the study, none of its final trials is completed, or the data
            have changed.
    """
    dataset = load_dataset(study_state.study.protocol.data)
    if dataset.fingerprint != study_state.document["fingerprint"]:
        raise UserError(
            f"study {study_state.study.name!r}: the content of the data has changed since it ran, "
            "so its models do not know these examples; bring the data back, or run the study again"
        )
    finals = _useful_finals(study_state, arm)
    repeats = predict_repeats(ledger, study_state, finals)
    known = [_known_labels(repeat) for repeat in repeats]
    quality = _quality(known)
    return Suspects(
        arm=finals[0].arm,
        collapsed=finals[0].collapsed,
        ranking=_rank(repeats, dataset, told=quality is not None),
        quality=quality,
        known=fmean(len(wrong) for _, wrong in known),
        wrong=fmean(int(wrong.sum()) for _, wrong in known),
    )


def _useful_finals(study_state: StudyState, arm: str | None) -> list[Record]:
    """Completed final trials of an arm, by default of the one with the highest mean val.

    Those that have collapsed are left out where there are others.
    """
    if arm is not None and arm not in study_state.study.arms:
        raise UserError(
            f"arm {arm!r} is not in this study; it has {', '.join(study_state.study.arms)}"
        )
    chosen = arm or study_state.best_arm()
    if chosen is None and study_state.unselected:
        raise UserError(f"no arm is the best on val{study_state.unselected}; name one: --arm NAME")
    useful = useful_runs(final_runs([r for r in study_state.records if r.arm == chosen]))
    if not useful:
        raise UserError(f"{f'arm {arm!r} has' if arm else 'there is'} no completed final trial yet")
    return useful


def _rank(repeats: list[RepeatPredictions], dataset: Dataset, told: bool) -> list[Suspect]:
    """Every entry, by falling score.

    told: whether to tell the true labels.
    """
    entries: dict[tuple[int, int], list[tuple[Floats, float]]] = defaultdict(list)
    for repeat in repeats:
        examples = zip(repeat.split.index.tolist(), repeat.split.y.tolist(), strict=True)
        for entry, p, weight in zip(examples, repeat.probabilities, repeat.weights, strict=True):
            entries[entry].append((p, weight))
    labels = np.array([label for _, label in entries])
    mean = np.stack([np.mean([p for p, _ in seen], axis=0) for seen in entries.values()])
    scores, suggested = margins(mean, labels), without_given(mean, labels).argmax(axis=1)
    classes, truth = dataset.classes, dataset.truth
    suspects = [
        Suspect(
            row=row,
            name=dataset.names[row],
            given=classes[label],
            suggested=classes[other],
            score=float(score),
            weight=fmean(weight for _, weight in seen),
            true=classes[truth[row]] if told and truth[row] >= 0 else None,
            repeats=len(seen),
        )
        for ((row, label), seen), score, other in zip(
            entries.items(), scores, suggested, strict=True
        )
    ]
    return sorted(suspects, key=lambda s: (-s.score, s.row, s.given))


def _known_labels(repeat: RepeatPredictions) -> KnownLabels:
    """Those labels of one repeat of which it is known whether they are wrong."""
    truth, labels = repeat.split.truth.numpy(), repeat.split.y.numpy()
    known = truth >= 0
    return margins(repeat.probabilities, labels)[known], (truth != labels)[known]


def _quality(known: list[KnownLabels]) -> dict[str, Estimate] | None:
    """Estimates over repeats, each ranked by itself; None where no label is known to be wrong."""
    values: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for repeat, (scores, wrong) in enumerate(known):
        if wrong.any() and not wrong.all():
            for name, value in ranking_quality(scores, wrong).items():
                values[name][repeat, 0] = value
    return {name: estimate(runs, bounds=(0.0, 1.0)) for name, runs in values.items()} or None
