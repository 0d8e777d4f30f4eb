"""Training examples ranked by how likely their label is wrong, by the models of the final trials.

An entry of the ranking is an example with a given label: another repeat's noise may give it
another label. Its score is the margin of `scores.py`, of probabilities that are averaged over the
run seeds of a repeat, then over the repeats that train on this example with this label.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.estimate_schema import ConfidentCounting
from pipelines.analysis.intervals import Estimate, estimate
from pipelines.analysis.label_noise import confident_counting
from pipelines.analysis.record import Record
from pipelines.analysis.selection import best_arm, final_runs, mean_vals, useful_runs
from pipelines.data.annotators import Answers
from pipelines.data.dataset import Dataset
from pipelines.data.labels_file import read_answers
from pipelines.data.loading import load_dataset
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import StudyState
from pipelines.suspects.crowd import annotators, dissent
from pipelines.suspects.predictions import RepeatPredictions, predict_repeats
from pipelines.suspects.scores import Floats, margins, ranking_quality

BLOCK = 10_000  # suspects that are made at once
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
    dissent: share of its annotators' answers that are another label; None without several.
    """

    row: int
    name: str
    given: str
    suggested: str
    score: float
    weight: float
    true: str | None
    repeats: int
    dissent: float | None = None


class Ranking(Sequence[Suspect]):
    """Suspects in columns, so that a million of them take little memory; each is made when asked.

    row, given, suggested, repeats [n] are whole numbers, the labels by their class; score, weight,
    dissent [n], nan where there is none; dataset: says what they are called; told: whether to tell
    the true labels.
    """

    def __init__(self, columns: dict[str, NDArray[Any]], dataset: Dataset, told: bool) -> None:
        self._columns, self._dataset, self._told = columns, dataset, told

    def __len__(self) -> int:
        return len(self._columns["row"])

    @overload
    def __getitem__(self, place: int) -> Suspect: ...
    @overload
    def __getitem__(self, place: slice) -> Ranking: ...
    def __getitem__(self, place: int | slice) -> Suspect | Ranking:
        if isinstance(place, slice):
            return self._some(place)
        [one] = self._some([place])
        return one

    def _some(self, places: slice | list[int]) -> Ranking:
        columns = {name: values[places] for name, values in self._columns.items()}
        return Ranking(columns, self._dataset, self._told)

    def __iter__(self) -> Iterator[Suspect]:
        classes, truth, names = self._dataset.classes, self._dataset.truth, self._dataset.names
        for start in range(0, len(self), BLOCK):
            block = {n: v[start : start + BLOCK].tolist() for n, v in self._columns.items()}
            for values in zip(*block.values(), strict=True):
                one = dict(zip(block, values, strict=True))
                true = int(truth[one["row"]]) if self._told else -1
                one |= {name: classes[one[name]] for name in ("given", "suggested")}
                one["dissent"] = None if math.isnan(one["dissent"]) else one["dissent"]
                yield Suspect(
                    **one, name=names[one["row"]], true=classes[true] if true >= 0 else None
                )


@dataclass(frozen=True)
class Suspects:
    """The ranking, most suspicious first, and how good it is where the truth is known.

    quality: estimates over repeats, named as in `ranking_quality`; None if no wrong label is known.
    known: training labels per repeat, on average, whose truth is known.
    wrong: those of them that are wrong.
    collapsed: whether all models that judge have collapsed, since there is no other one.
    annotators: of whose answers the labels are made, and how each of them answers (`crowd`).
    """

    arm: str
    ranking: Sequence[Suspect]
    quality: dict[str, Estimate] | None
    known: float
    wrong: float
    collapsed: bool = False
    annotators: list[Json] = field(default_factory=list)


def find_suspects(ledger: Ledger, study_state: StudyState, arm: str | None = None) -> Suspects:
    """Rank the training examples of a study under its own protocol.

    arm: whose final models judge; by default the arm with the highest mean val.

    Raises:
        UserError: no such arm is in the study, none of its final trials is completed, or the data
            have changed.
    """
    data = study_state.study.protocol.data
    dataset = load_dataset(data)
    if dataset.fingerprint != study_state.document["fingerprint"]:
        raise UserError(
            f"study {study_state.study.name!r}: the content of the data has changed since it ran, "
            "so its models do not know these examples; bring the data back, or run the study again"
        )
    finals = _useful_finals(study_state, arm)
    repeats = predict_repeats(ledger, study_state, finals)
    known = [_known_labels(repeat) for repeat in repeats]
    quality = _quality(known)
    answers = read_answers(data.labels, dataset) if data.labels and data.labels.rule else None
    return Suspects(
        arm=finals[0].arm,
        collapsed=finals[0].collapsed,
        ranking=_rank(repeats, dataset, answers, told=quality is not None),
        annotators=annotators(answers) if answers else [],
        quality=quality,
        known=fmean(len(wrong) for _, wrong in known),
        wrong=fmean(int(wrong.sum()) for _, wrong in known),
    )


def count_wrong(
    ledger: Ledger, study_state: StudyState, arm: str | None = None
) -> ConfidentCounting | None:
    """Confident counting by models that never saw the labels, where the study has such.

    Else by those that rank, which have learned some wrong labels by heart: docs/suspects.md. None
    if they have collapsed. arm, errors: as of `find_suspects`.
    """
    unseeing = best_arm(mean_vals(study_state.records, _unseeing(study_state)))
    finals = _useful_finals(study_state, unseeing or arm)
    if finals[0].collapsed:
        return None
    repeats = predict_repeats(ledger, study_state, finals)
    counts = [(repeat.probabilities, repeat.split.y.numpy()) for repeat in repeats]
    return {
        **confident_counting(counts),
        "arm": finals[0].arm,
        "repeats": len(repeats),
        "in_sample": unseeing is None,
    }


def _unseeing(study_state: StudyState) -> list[str]:
    """Arms that train on none of the labels that are to be judged, nor any example of theirs."""
    return [
        name
        for name, arm in study_state.study.arms.items()
        if not any("train" in phase.pool for phase in arm.phases)
    ]


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


def _rank(
    repeats: list[RepeatPredictions], dataset: Dataset, answers: Answers | None, told: bool
) -> Ranking:
    """Every entry, by falling score.

    answers: where labels are made of several annotators'; told: whether to tell the true labels.
    """
    classes = repeats[0].probabilities.shape[1]
    codes = [r.split.index.numpy() * classes + r.split.y.numpy() for r in repeats]
    entries = np.unique(np.concatenate(codes))
    row, given = np.divmod(entries, classes)
    mean, weight = np.zeros((len(entries), classes)), np.zeros(len(entries))
    seen = np.zeros(len(entries), np.int64)
    for repeat, code in zip(repeats, codes, strict=True):  # which has no entry twice
        place = np.searchsorted(entries, code)
        mean[place] += repeat.probabilities
        weight[place] += repeat.weights
        seen[place] += 1
    mean /= seen[:, None]
    score, suggested = margins(mean, given)
    by_name = np.argsort(np.argsort(dataset.classes))  # of classes, whose labels are ranked
    order = np.lexsort((by_name[given], row, -score))
    columns = {
        "row": row,
        "given": given,
        "suggested": suggested,
        "score": score,
        "weight": weight / seen,
        "repeats": seen,
        "dissent": dissent(answers, row, given) if answers else np.full(len(row), np.nan),
    }
    return Ranking({name: values[order] for name, values in columns.items()}, dataset, told)


def _known_labels(repeat: RepeatPredictions) -> KnownLabels:
    """Those labels of one repeat of which it is known whether they are wrong."""
    truth, labels = repeat.split.truth.numpy(), repeat.split.y.numpy()
    known = truth >= 0
    return margins(repeat.probabilities, labels)[0][known], (truth != labels)[known]


def _quality(known: list[KnownLabels]) -> dict[str, Estimate] | None:
    """Estimates over repeats, each ranked by itself; None where no label is known to be wrong."""
    values: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for repeat, (scores, wrong) in enumerate(known):
        if wrong.any() and not wrong.all():
            for name, value in ranking_quality(scores, wrong).items():
                values[name][repeat, 0] = value
    return {name: estimate(runs, bounds=(0.0, 1.0)) for name, runs in values.items()} or None
