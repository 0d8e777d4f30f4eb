"""By which mean and deviation inputs are normalised."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Rows
from pipelines.errors import UserError
from pipelines.study.protocol import Normalisation

BYTES = 255
Floats = NDArray[np.float64]
#: Of ImageNet's training images between 0 and 1, as torchvision and timm have them.
IMAGENET = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def statistics(dataset: Dataset, test: Rows, how: Normalisation) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] or [D] for stored values.

    test: rows for testing, of which nothing is learned; how: `data`, those of all other rows;
    `imagenet`, that set's; `none`, images between 0 and 1, and features as they are.

    Raises:
        UserError: the inputs are no colour images, and are to have ImageNet's.
    """
    shape = dataset.x.shape[1:]
    if how == "imagenet":
        if len(shape) != 3 or shape[0] != len(IMAGENET[0]):
            raise UserError(
                f"data.normalise = 'imagenet': is for colour images, the inputs are {shape}"
            )
        return BYTES * IMAGENET[0], BYTES * IMAGENET[1]
    if how == "none":
        ones = torch.ones(shape[0])
        return 0 * ones, ones * (BYTES if len(shape) == 3 else 1)
    return _of_data(dataset, test)


def _of_data(dataset: Dataset, test: Rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] or [D] of all rows that are not for testing.

    Constant features get 1, and so do those whose spread is below the resolution of float32.
    """
    used = ~dataset.in_own_test
    used[test] = False
    rows = np.flatnonzero(used)
    # In blocks: float64 copies of all the data would not fit into memory.
    blocks = [rows[start : start + 1024] for start in range(0, len(rows), 1024)]
    moments = _of_bytes if dataset.x.dtype == np.uint8 else _of_numbers
    mean, variance = moments(dataset.x, blocks)
    std = np.sqrt(variance)
    std = np.where(std > 1e-6 * np.abs(mean), std, 1.0)
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def _of_bytes(x: NDArray[np.uint8], blocks: list[Rows]) -> tuple[Floats, Floats]:
    """Mean and variance [C] of images [N, C, H, W], by how often each value occurs."""
    counts = np.zeros((x.shape[1], 256))
    for block in blocks:
        channels = torch.from_numpy(x[block]).transpose(0, 1).flatten(1)
        counts += np.stack([channel.bincount(minlength=256).numpy() for channel in channels])
    share, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256.0)
    mean = counts @ values / counts.sum(axis=1)
    return mean, (share * np.square(values - mean[:, None])).sum(axis=1)


def _of_numbers(x: NDArray[np.float32], blocks: list[Rows]) -> tuple[Floats, Floats]:
    """Mean and variance [D] of a table [N, D].

    In two passes: the mean of squares less the square of the mean loses digits where the spread is
    small.
    """
    n = sum(map(len, blocks))
    mean = sum((x[block].sum(axis=0, dtype=np.float64) for block in blocks), np.zeros(x.shape[1]))
    mean /= n
    squares = (np.square(x[block] - mean).sum(axis=0) for block in blocks)
    return mean, sum(squares, np.zeros(x.shape[1])) / n
