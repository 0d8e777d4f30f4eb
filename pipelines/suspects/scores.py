"""The score of a given label: the margin by which it loses; and how well scores tell wrong labels.

The score of an example with given label y is max over k != y of p_k - p_y, in [-1, 1]: above 0
where the models prefer another class. It is the negative of the normalized margin of Northcutt et
al., "Confident Learning", JAIR 2021, section 4. docs/suspects.md has the measurements behind this
choice: weights and training losses rank worse, and not at all in arms that do not train on every
example.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.score_order import auroc

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

CUTS = (50, 100)  # k of precision at k, beside the number of wrong labels


def margins(probabilities: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """max over k != y of p_k - p_y, and that k, both [n].

    probabilities: [n, K]; labels: the given ones y [n].
    """
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    best = others.argmax(axis=1)
    return others[rows, best] - probabilities[rows, labels], best


def ranking_quality(scores: Floats, wrong: NDArray[np.bool_]) -> dict[str, float]:
    """How well scores [n] tell which labels are wrong [n]: some of them, not all.

    AUROC, and precision at k, the share of wrong labels among the k highest scores, for k = the
    number of wrong labels ("all") and for each of CUTS that is not above n.
    """
    ranked = wrong[np.argsort(-scores, kind="stable")]
    cuts = {"all": int(wrong.sum())} | {str(k): k for k in CUTS if k <= len(wrong)}
    precision = {f"precision_at_{name}": float(ranked[:k].mean()) for name, k in cuts.items()}
    area = auroc(scores, wrong)
    assert area is not None  # both wrong and right labels are there
    return {"auroc": area, **precision}
