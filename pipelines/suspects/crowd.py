"""What several annotators' answers say of an example, and of the annotators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.annotators import Answers, Ints, dawid_skene
from pipelines.documents import Json


def dissent(answers: Answers, rows: Ints, labels: Ints) -> NDArray[np.float64]:
    """Which share of an example's answers is another label, [n]; nan of one without answers.

    rows [n] of the data set, labels [n].
    """
    known, _ = answers.examples
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    votes = answers.votes[place]
    share = 1 - votes[np.arange(len(rows)), labels] / votes.sum(axis=1)
    return np.where(known[place] == rows, share, np.nan)


def annotators(answers: Answers) -> list[Json]:
    """How each one answers, those with most answers first.

    By Dawid & Skene, with no truth but what all of them say together: `right`, the mean probability
    of an annotator's answers; `confusion` [K, K], rows are true classes, columns answers.

    Raises:
        UserError: the confusions would not fit into memory.
    """
    probable, confusion = dawid_skene(answers)
    _, of = answers.examples
    count = np.bincount(answers.by, minlength=len(answers.annotators))
    right = np.bincount(answers.by, weights=probable[of, answers.labels]) / count
    return [
        {
            "name": answers.annotators[k],
            "answers": int(count[k]),
            "right": round(float(right[k]), 4),
            "confusion": confusion[k].round(4).tolist(),
        }
        for k in np.argsort(-count, kind="stable")
    ]
