"""How well scores put positive examples before negative ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Probability that a positive example outscores a negative one, ties counted half.

    scores [n] are finite, positive [n] says which examples are. The Mann-Whitney statistic from
    midranks: (sum of the positives' ranks - p(p + 1)/2) / (p n). None if one side is absent.
    """
    mask = np.asarray(positive, dtype=bool)
    _, inverse, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    midranks = (counts.cumsum() - (counts - 1) / 2)[inverse]
    p, n = int(mask.sum()), int((~mask).sum())
    if not p or not n:
        return None
    return float((midranks[mask].sum() - p * (p + 1) / 2) / (p * n))


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Mean precision at the recalls that thresholds on the scores give; ties are one threshold.

    scores [n], positive [n] as in `auroc`. Sum of (R_k - R_(k-1)) P_k, not interpolated. None if
    there is no positive example.
    """
    values, mask = np.asarray(scores), np.asarray(positive, dtype=bool)
    if not mask.any():
        return None
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = mask[order].cumsum()[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / mask.sum())
