"""What a result keeps of predictions beside metrics: the confusion, and which ones were right.

Whatever reads them must load without torch, so tensors are used through their methods alone.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

DENSE = 100  # classes up to which a confusion is stored as a matrix; above, most of it is zeros

Confusion = list[list[int]] | dict[str, Any]  # as it is stored


def stored_confusion(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> Confusion:
    """How often labels [n] have which predictions [n], for `confusion_matrix` to read."""
    cells = labels * classes + predictions
    if classes <= DENSE:
        return np.bincount(cells, minlength=classes**2).reshape(classes, classes).tolist()
    cells, counts = np.unique(cells, return_counts=True)
    return {
        "classes": classes,
        "labels": (cells // classes).tolist(),
        "predictions": (cells % classes).tolist(),
        "counts": counts.tolist(),
    }


def confusion_matrix(stored: Confusion) -> NDArray[np.int64]:
    """Counts [K, K] of test examples; rows: labels, columns: predictions.

    stored: as a result has it: these rows, or of more than `DENSE` classes the cells that are not 0
    (of each its label, its prediction, its count), of which there are no more than examples.
    """
    if isinstance(stored, list):
        return np.array(stored, np.int64)
    matrix = np.zeros((stored["classes"], stored["classes"]), np.int64)
    matrix[stored["labels"], stored["predictions"]] = stored["counts"]
    return matrix


def pack_hits(probabilities: Tensor, labels: Tensor) -> str:
    """Which examples are classified right, as text: a bit each, by label and then by row.

    In this order the row sums of the confusion tell the class of each bit.
    """
    labels, predicted = labels.cpu(), probabilities.detach().cpu().double().max(dim=1)[1]
    hits = (predicted == labels)[labels.argsort(stable=True)]
    return base64.b64encode(np.packbits(hits.numpy()).tobytes()).decode()


def unpack_hits(text: str, n: int) -> NDArray[np.bool_]:
    """The bits [n] that `pack_hits` packed."""
    packed = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(packed, count=n).astype(bool)
