"""Examples that stay where they are stored, because copies of them might not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Bytes of a data set, above which its examples are not copied into each process's memory.
MOST_IN_MEMORY = 2 * 2**30
#: Of a GPU's memory: a data set that takes no more is copied onto it.
GPU_SHARE = 0.25
AHEAD = 4  # batches that are read while the device is at work


class Stored:
    """Rows of an array, mostly a memory-mapped one, in the place of a tensor of examples [n, ...].

    It gives tensors on its device, read each time they are asked for. Batches that are going to be
    asked for may be told (`expect`): a thread reads them ahead, for a GPU into pinned memory.
    """

    def __init__(
        self,
        array: NDArray[Any],
        rows: NDArray[np.int64],
        device: torch.device | str = "cpu",
    ) -> None:
        self._array, self._rows, self.device = array, rows, torch.device(device)
        self._expected: list[Tensor] = []
        self._places: Sequence[Tensor] = ()
        self._numbers: dict[int, int] = {}  # of those that are expected, by the tensors' ids
        self._read: dict[int, Future[Tensor]] = {}
        self._thread: ThreadPoolExecutor | None = None

    @property
    def shape(self) -> torch.Size:
        """As of a tensor."""
        return torch.Size((len(self._rows), *self._array.shape[1:]))

    def __len__(self) -> int:
        return len(self._rows)

    def to(self, device: torch.device | str) -> Examples:
        """The same on another device; in its memory, where a GPU has room for all of the array."""
        device = torch.device(device)
        if device.type == "cuda" and self._array.nbytes <= GPU_SHARE * _memory_of(device):
            there = Stored(self._array, self._rows, device)
            return torch.cat(list(there.split(1024)))
        return Stored(self._array, self._rows, device)

    def split(self, size: int) -> Iterator[Tensor]:
        """All of them in their order, `size` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def __getitem__(self, places: slice | Tensor) -> Tensor:
        """Examples at some places [m]."""
        chosen = places if isinstance(places, slice) else places.cpu().numpy()
        return self._gather(chosen).to(self.device)

    def index_select(self, dim: int, places: Tensor) -> Tensor:
        """Examples at some places [m] of dimension 0, at once where they have been expected."""
        number = self._numbers.get(id(places))
        if number is None:
            return self[places]
        self._read_ahead(number)
        return self._read.pop(number).result().to(self.device, non_blocking=True)

    def expect(self, batches: Sequence[Tensor]) -> None:
        """These batches of places will be asked for, in this order, by these very tensors."""
        for future in self._read.values():
            future.cancel()
        self._read.clear()
        self._expected = list(batches)
        self._numbers = {id(batch): number for number, batch in enumerate(batches)}
        sizes = [len(batch) for batch in batches]
        self._places = torch.cat(self._expected).cpu().split(sizes) if batches else ()

    def _read_ahead(self, number: int) -> None:
        """Have batch `number`, and some behind it, read; those before it are past."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "examples")
        for past in [n for n in self._read if n < number]:
            self._read.pop(past).cancel()
        for n in range(number, min(number + 1 + AHEAD, len(self._expected))):
            if n not in self._read:
                self._read[n] = self._thread.submit(self._gather, self._places[n].numpy())

    def _gather(self, places: slice | NDArray[np.int64]) -> Tensor:
        rows = self._rows[places]
        shape = (len(rows), *self._array.shape[1:])
        dtype = torch.from_numpy(np.empty(0, self._array.dtype)).dtype
        batch = torch.empty(shape, dtype=dtype, pin_memory=self.device.type == "cuda")
        # mode: numpy would fill a copy first, so as to leave `out` as it was where a row is wrong
        np.take(self._array, rows, axis=0, out=batch.numpy(), mode="clip")
        return batch

    @staticmethod
    def joined(parts: Sequence[Stored]) -> Stored:
        """Those of one array behind each other."""
        first = parts[0]
        return Stored(first._array, np.concatenate([p._rows for p in parts]), first.device)


Examples = Tensor | Stored


def examples(array: NDArray[Any], rows: NDArray[np.int64]) -> Examples:
    """Rows of a data set's inputs: a copy, or where the data set is too large, where they are."""
    if array.nbytes > MOST_IN_MEMORY:
        return Stored(array, rows)
    return torch.from_numpy(array[rows])


def joined(parts: Sequence[Examples]) -> Examples:
    """Examples of one data set behind each other, [n1 + n2 + ..., ...]."""
    stored = [part for part in parts if isinstance(part, Stored)]
    if len(stored) == len(parts):
        return Stored.joined(stored)
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def expect(x: Examples, batches: Sequence[Tensor]) -> None:
    """Tell examples of the batches that they will be asked for; those in memory need it not."""
    if isinstance(x, Stored):
        x.expect(batches)


def _memory_of(device: torch.device) -> float:
    """Bytes of a GPU that this process may take."""
    share = torch.cuda.get_per_process_memory_fraction(device)
    return share * torch.cuda.get_device_properties(device).total_memory
