"""Data sets that torchvision downloads: a row each.

Its classes agree in little: which argument names a part, and which attribute the labels. A row says
what they are, and whether pixels come with channels last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.source import Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data


@dataclass(frozen=True)
class TorchvisionSet:
    """One class of torchvision.datasets.

    parts: arguments for its training and its test set. labels: the attribute that holds them.
    channels_last: whether `data` is [N, H, W, C].
    """

    kind: str
    parts: tuple[dict[str, Any], dict[str, Any]] = ({"train": True}, {"train": False})
    labels: str = "targets"
    channels_last: bool = False

    def read(self, data: Data, folder: Path) -> Dataset:
        """Training and test set as one data set; downloaded if `data.path` has none yet."""
        import torchvision.datasets  # slow to import, and most workers need none of it

        make = getattr(torchvision.datasets, self.kind)
        with TemporaryDirectory(dir=folder) as temporary, _downloads_shown():
            root = data.path or temporary
            try:
                parts = [make(root, download=True, **part) for part in self.parts]
            except Exception as error:  # of networks, of archives, of files that are there already
                raise UserError(
                    f"data.source = {data.source!r}: download to {root} failed: {one_line(error)}"
                ) from None
        x = np.concatenate([np.asarray(part.data) for part in parts])
        if self.channels_last:
            x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        labels = [np.asarray(getattr(part, self.labels)) for part in parts]
        test = np.arange(len(x)) >= len(labels[0])
        classes = getattr(parts[0], "classes", range(10))  # SVHN's are digits, and it names none
        return make_dataset(data.source, x, np.concatenate(labels), test=test, classes=classes)

    def example(self, data: Data) -> list[str]:
        """Lines that read a few images."""
        root = str(data.path or "downloads")
        return [
            "import torchvision",
            f"inputs = torchvision.datasets.{self.kind}({root!r}, download=True).data[:5]",
        ]


@contextmanager
def _downloads_shown() -> Iterator[None]:
    """Progress bars are for who watches a terminal; standard error is for errors alone."""
    with ExitStack() as entered:
        nowhere = entered.enter_context(open(os.devnull, "w", encoding="utf-8"))
        shown = sys.stdout if sys.stdout.isatty() else nowhere
        entered.enter_context(redirect_stdout(shown))
        entered.enter_context(redirect_stderr(shown))
        yield


SETS = {
    "mnist": TorchvisionSet("MNIST"),
    "fashion_mnist": TorchvisionSet("FashionMNIST"),
    "cifar10": TorchvisionSet("CIFAR10", channels_last=True),
    "cifar100": TorchvisionSet("CIFAR100", channels_last=True),
    "svhn": TorchvisionSet("SVHN", ({"split": "train"}, {"split": "test"}), labels="labels"),
}
SOURCES = tuple(
    Source(name, one.read, path="download", example=one.example) for name, one in SETS.items()
)
