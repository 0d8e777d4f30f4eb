"""The table of sources: what each needs, which options it has, and who reads it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.loading import load_dataset
from pipelines.data.source import Source, cache_key
from pipelines.data.sources import SOURCES
from pipelines.data.survey import survey
from pipelines.documents import digest
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused


def test_digits_are_grey_images_with_17_levels_and_no_test_set():
    digits = load_dataset(Data())
    assert digits.x.shape == (1797, 1, 8, 8)
    assert (digits.x.dtype, digits.x.min(), digits.x.max()) == (np.uint8, 0, 16)
    assert (digits.truth == digits.observed).all()
    assert digits.test is None
    assert digits.classes == list("0123456789")
    assert digits.names[-1] == "1796"


class FakeCifar:
    """Looks like torchvision's CIFAR10 after a download."""

    classes = ("plane", "car")

    def __init__(self, root, *, train: bool, download: bool) -> None:
        assert download
        assert Path(root).exists()
        self.data = np.full((4 if train else 2, 5, 6, 3), (1, 2, 3), np.uint8)
        self.targets = [0, 1] * (2 if train else 1)


class FakeMnist(FakeCifar):
    def __init__(self, root, *, train: bool, download: bool) -> None:
        super().__init__(root, train=train, download=download)
        self.data = torch.from_numpy(self.data[..., 0])
        self.targets = torch.tensor(self.targets)


class FakeSvhn:
    def __init__(self, root, *, split: str, download: bool) -> None:
        FakeCifar(root, train=split == "train", download=download)
        self.data = np.full((4 if split == "train" else 2, 3, 5, 6), 7, np.uint8)
        self.labels = np.arange(len(self.data))


@pytest.mark.parametrize(
    ("source", "name", "fake", "shape"),
    [
        ("cifar10", "CIFAR10", FakeCifar, (6, 3, 5, 6)),
        ("cifar100", "CIFAR100", FakeCifar, (6, 3, 5, 6)),
        ("mnist", "MNIST", FakeMnist, (6, 1, 5, 6)),
        ("fashion_mnist", "FashionMNIST", FakeMnist, (6, 1, 5, 6)),
        ("svhn", "SVHN", FakeSvhn, (6, 3, 5, 6)),
    ],
)
def test_a_torchvision_set_has_its_own_test_set_and_is_read_once(
    source, name, fake, shape, monkeypatch
):
    monkeypatch.setattr(torchvision.datasets, name, fake)
    dataset = load_dataset(Data(source=source))
    assert dataset.x.shape == shape
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 4 + [True] * 2
    if source.startswith("cifar"):
        assert dataset.x[0, :, 0, 0].tolist() == [1, 2, 3]
        assert dataset.classes == ["plane", "car"]
    monkeypatch.delattr(torchvision.datasets, name)
    assert load_dataset(Data(source=source)).fingerprint == dataset.fingerprint, "not cached"


def test_a_download_that_fails_is_one_line_and_leaves_nothing(monkeypatch, cache):
    def fail(*_, **__):
        raise RuntimeError("Error downloading\nx.tar.gz")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    assert_refused(
        Data(source="cifar10"), "'cifar10': download to .* failed: Error downloading x.tar.gz"
    )
    assert not list((cache / "data").iterdir()), "a failed entry was left behind"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            Data(source="cifar"),
            "data.source = 'cifar': allowed are arrays, .*svhn, .*, or package.module:f",
        ),
        (Data(source="arrays"), "data.path is missing: arrays needs an existing file"),
        (Data(path=Path("/x")), "data.path = '/x': digits reads no path"),
        (Data(source="m:f", path=Path("/x")), "data.path = '/x': m:f reads no path"),
        (
            Data(target="kind"),
            "data.target = 'kind': only table, text has it",
        ),
        (Data(source="image_folder", path=Path("/no")), "'/no': image_folder needs .* folder"),
        (
            Data(size=8),
            "data.size = 8: only image_folder, clothing1m, webvision has it, the source is digits",
        ),
        (Data(source="nowhere:data"), "'nowhere:data': module 'nowhere' is neither installed"),
    ],
)
def test_a_source_refuses_what_it_would_not_look_at(data, message):
    assert_refused(data, message)


def own_dict() -> dict[str, Any]:
    return {"x": np.eye(4), "y": ["p", "q", "p", "q"], "truth": ["p", "q", "q", "q"]}


def own_dataset() -> Dataset:
    made = make_dataset("here", np.eye(4), [-1, 1, -1, 1], names=["e", "f", "g", "h"])
    return replace(made, truth=np.array([0, -1, -1, 1]))


def own_nonsense() -> dict[str, Any]:
    return {"x": np.eye(4), "labels": [0, 1, 0, 1]}


def test_a_users_own_function_may_return_a_dict_or_a_dataset():
    dataset = load_dataset(Data(source=f"{__name__}:own_dict"))
    assert dataset.observed.tolist() == [0, 1, 0, 1]
    assert dataset.truth.tolist() == [0, 1, 1, 1]
    assert_refused(
        Data(source=f"{__name__}:own_nonsense"), "must return a dict with x, y .*; found x, lab"
    )


def test_minus_one_is_an_unknown_truth_unless_a_class_has_that_name():
    dataset = load_dataset(Data(source=f"{__name__}:own_dataset"))
    assert dataset.classes == ["-1", "1"]
    assert dataset.observed.tolist() == [0, 1, 0, 1]
    assert dataset.truth.tolist() == [0, -1, -1, 1]
    named = make_dataset("here", np.eye(4), [-1, 1, -1, 1], truth=[-1, 1, 1, 1])
    assert named.truth.tolist() == [0, 1, 1, 1]


# ---- adding one


def _read_pairs(data: Data, folder: Path) -> Dataset:
    """Lines of `feature label`."""
    assert data.path
    pairs = [line.split() for line in data.path.read_text().splitlines()]
    x = np.array([[float(feature)] for feature, _ in pairs])
    return make_dataset(str(data.path), x, [label for _, label in pairs])


def test_one_entry_makes_a_source_loaded_cached_checked_and_surveyed(monkeypatch, tmp_path, cache):
    entry = Source("pairs", _read_pairs, path="file", options=("target",), suffixes=(".pairs",))
    monkeypatch.setitem(SOURCES, entry.name, entry)
    file = tmp_path / "my.pairs"
    file.write_text("1 a\n2 b\n" * 5)
    data = Data(source="pairs", path=file)
    assert load_dataset(data).classes == ["a", "b"]
    assert len(list((cache / "data").iterdir())) == 1
    assert survey(file).counts == [5, 5]
    assert_refused(Data(source="pairs"), "data.path is missing: pairs needs an existing file")
    assert_refused(
        data.model_copy(update={"size": 8}),
        "only image_folder, clothing1m, webvision has it, the .* pairs",
    )
    file.write_text("1 a\n2 b\n" * 6)
    assert len(load_dataset(data).x) == 12, "an old entry of the cache was used"


def test_every_option_of_a_source_is_a_key_of_data_and_part_of_what_is_cached(tmp_path):
    for source in SOURCES.values():
        for option in source.options:
            data = [
                Data(source=source.name, path=tmp_path, **{option: value})  # type: ignore[arg-type]
                for value in OTHER_VALUES[option]
            ]
            keys = {digest(cache_key(source, one)) for one in data}
            assert len(keys) == 2, f"{source.name} decodes by {option}, and its cache does not know"


OTHER_VALUES = {
    "target": ("label", "kind"),
    "drop": (None, ()),
    "size": (8, 16),
    "skip_broken": (False, True),
    "columns": (None, {"a": "drop"}),
    "encoding": (None, "latin-1"),
    "split": (None, "part"),
    "names": (None, "id"),
    "text": ("text", "question"),
}
