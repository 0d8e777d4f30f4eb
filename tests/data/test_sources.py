"""Every source becomes a checked Dataset, labels files apply to the rows they name."""

import csv
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
import torchvision.datasets
from PIL import Image

from pipelines.data import sources
from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.sources import load_dataset
from pipelines.errors import UserError
from pipelines.study.protocol import Data, LabelsFile

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_cifar = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("UNTUNED_CACHE", str(place))
    return place


def rows(path: Path, lines: list, header: tuple[str, str] = ("path", "label")) -> LabelsFile:
    """A new labels file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return LabelsFile(file=path)


def paint(path: Path, colour: Any, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> None:
    """An image of one colour, width x height pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """root/train and root/test with the classes a and b; the red of an image tells which it is."""
    root = tmp_path / "images"
    for part, colours in (("train", (10, 20, 30)), ("test", (40,))):
        for number, colour in enumerate(colours):
            paint(root / part / "a" / f"{number}.png", (colour, 0, 1))
            paint(root / part / "b" / f"{number}.png", (colour, 100, 1))
    return root


def images(path: Path, **more: Any) -> Data:
    return Data(source="image_folder", path=path, **more)


def refused(data: Data, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_dataset(data)
    assert "\n" not in str(caught.value)


# ---- built-in


def test_digits():
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
def test_torchvision_sources_have_their_own_test_set(source, name, fake, shape, monkeypatch):
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


def test_failed_download_is_one_line(monkeypatch, cache):
    def fail(*_, **__):
        raise RuntimeError("Error downloading\nx.tar.gz")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    refused(Data(source="cifar10"), "'cifar10': download to .* failed: Error downloading x.tar.gz")
    assert not list((cache / "data").iterdir()), "a failed entry was left behind"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(source="cifar"), "data.source = 'cifar': allowed are digits, mnist"),
        (Data(source="arrays"), "data.path is missing: arrays needs an existing file"),
        (Data(path=Path("/x")), "data.path = '/x': digits reads no path"),
        (Data(source="m:f", path=Path("/x")), "data.path = '/x': m:f reads no path"),
        (Data(target="kind"), "data.target = 'kind': only a table has one"),
        (Data(source="image_folder", path=Path("/no")), "'/no': image_folder needs .* folder"),
        (Data(size=8), "data.size = 8: only image_folder resizes, the source is digits"),
        (Data(source="nowhere:data"), "'nowhere:data': cannot be imported"),
    ],
)
def test_a_wrong_source_is_refused(data, message):
    refused(data, message)


# ---- image folders


def test_folder_with_train_and_test(folder):
    dataset = load_dataset(images(folder))
    assert dataset.x.shape == (8, 3, 3, 4)
    assert dataset.x[:, 0, 0, 0].tolist() == [10, 20, 30, 10, 20, 30, 40, 40]
    assert dataset.x[:, 1, 2, 3].tolist() == [0] * 3 + [100] * 3 + [0, 100]
    assert dataset.observed.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 6 + [True] * 2
    assert dataset.classes == ["a", "b"]
    assert dataset.names[0] == "train/a/0.png"


def test_folder_of_classes_has_no_test_set_and_hidden_files_are_left_out(folder):
    (folder / "train" / "a" / "readme.txt").write_text("no image")
    paint(folder / "train" / "a" / "._0.png", 0)
    paint(folder / "train" / ".trash" / "0.png", 0)
    paint(folder / "train" / "b" / "deeper" / "9.png", (9, 9, 9))
    dataset = load_dataset(images(folder / "train"))
    assert dataset.test is None
    assert dataset.names == [*(f"{c}/{n}.png" for c in "ab" for n in range(3)), "b/deeper/9.png"]


def test_grey_images_have_one_channel_unless_some_are_coloured(tmp_path):
    root = tmp_path / "grey"
    for name in "ab":
        paint(root / name / "0.png", 77, "L")
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77]] * 2
    paint(root / "a" / "1.png", (1, 2, 3))
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77] * 3, [1, 2, 3], [77] * 3]


def test_mixed_sizes_need_a_size(folder):
    paint(folder / "train" / "b" / "odd.png", (5, 5, 5), size=(9, 9))
    refused(images(folder), r"odd.png: is \(9, 9\), 0.png is \(4, 3\); set data.size")
    dataset = load_dataset(images(folder, size=6))
    assert dataset.x.shape == (9, 3, 6, 6)
    assert (dataset.x[dataset.names.index("train/b/odd.png")] == 5).all()


def test_unusable_folders_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(images(tmp_path / "empty"), "holds no images in folders")
    (folder / "train" / "c").mkdir()
    refused(images(folder), "train/c: holds no images")
    (folder / "train" / "c").rmdir()
    paint(folder / "test" / "z" / "0.png", (0, 0, 0))
    refused(images(folder), "label 'z': allowed are a, b")
    (folder / "train" / "a" / "0.png").write_bytes(b"nonsense")
    refused(images(folder), "a/0.png: cannot be read as an image")
    (folder / "test").rename(folder / "val")
    refused(images(folder), "has train/, but not both train/ and test/")


def test_deep_and_broken_images_are_refused(folder):
    paint(folder / "train" / "a" / "deep.png", 70_00, "I;16")
    refused(images(folder), "deep.png: has mode I;16: images must have 8 bits")
    (folder / "train" / "a" / "deep.png").unlink()
    whole = folder / "train" / "a" / "0.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole)
    whole.write_bytes(whole.read_bytes()[:1000])
    refused(images(folder, size=4), "a/0.png: cannot be decoded")


# ---- arrays, tables, functions


def test_arrays_with_a_test_set(tmp_path):
    x = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2)
    path = tmp_path / "data.npz"
    np.savez(path, x=x[:3], y=[0, 2, 1], x_test=x[3:], y_test=[2, 2], classes=["u", "v", "w"])
    dataset = load_dataset(Data(source="arrays", path=path))
    assert (dataset.x == x[:, None]).all()
    assert isinstance(dataset.x, np.memmap)
    assert dataset.observed.tolist() == [0, 2, 1, 2, 2]
    assert dataset.classes == ["u", "v", "w"]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3))}, "holds x; needed are x, y"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "z": [1]}, "holds x, y, z; needed are"),
        ({"x": np.zeros((2, 3)), "y": [0, 1, 1]}, r"y has shape \(3,\), x has 2 examples"),
        ({"x": np.zeros((2, 3)), "y": [0.5, 1]}, "class names or whole numbers, not float64"),
        ({"x": np.zeros((2, 3)), "y": [1, 1]}, "classes are 1: needed are two or more"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "classes": ["a", "a"]}, "all different"),
        ({"x": np.zeros((2, 3)), "y": [0, 2], "classes": ["a", "b"]}, "row 1 has label 2: .* 0, 1"),
        ({"x": np.array([[0, 1], [np.nan, 2]]), "y": [0, 1]}, "row 1, feature 0 is nan"),
        ({"x": np.zeros((2, 1, 4, 4)), "y": [0, 1]}, "x is float64 .*: must be uint8 images"),
        ({"x": np.zeros((2, 8, 8, 3), np.uint8), "y": [0, 1]}, "have channels last"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "x_test": np.zeros((1, 3))}, "both needed"),
    ],
)
def test_unusable_arrays_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    refused(Data(source="arrays", path=tmp_path / "data.npz"), message)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "data.npz").write_text("x,y\n")
    refused(Data(source="arrays", path=tmp_path / "data.npz"), "cannot be read as .npz")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table(suffix, tmp_path):
    path = tmp_path / f"table.{suffix}"
    columns = {"age": [1, 2, 3], "kind": ["yes", "no", "yes"], "height": [0.5, 1.5, -1.0]}
    if suffix == "csv":
        lines = zip(*columns.values(), strict=True)
        path.write_text("age,kind,height\n" + "".join(f"{a},{k},{h}\n" for a, k, h in lines))
    else:
        pa.parquet.write_table(pa.table(columns), path)
    dataset = load_dataset(Data(source="table", path=path, target="kind"))
    assert dataset.x.tolist() == [[1, 0.5], [2, 1.5], [3, -1]]
    assert dataset.x.dtype == np.float32
    assert dataset.classes == ["no", "yes"]
    assert dataset.observed.tolist() == [1, 0, 1]
    assert dataset.names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "data.target = 'label': .* has the columns a, b"),
        ("a,label\nx,0\ny,1\n", "column 'a' is string: features must be numbers"),
        ("a,label\n1,0\n,1\n", "column 'a' has 1 empty cells"),
        ("a,label\n1,red\n2,\n3, \n4,blue\n", "column 'label' has 2 empty cells"),
        ("label\n1\n0\n", "no column beside the target"),
        ("a,a,label\n1,2,0\n1,2,1\n", "share a name"),
        ("a,label\n1,2,3\n", "cannot be read"),
    ],
)
def test_unusable_tables_are_refused(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    refused(Data(source="table", path=tmp_path / "t.csv"), message)


def own_dict() -> dict[str, Any]:
    return {"x": np.eye(4), "y": ["p", "q", "p", "q"], "truth": ["p", "q", "q", "q"]}


def own_dataset() -> Dataset:
    made = make_dataset("here", np.eye(4), [-1, 1, -1, 1], names=["e", "f", "g", "h"])
    return replace(made, truth=np.array([0, -1, -1, 1]))


def own_nonsense() -> dict[str, Any]:
    return {"x": np.eye(4), "labels": [0, 1, 0, 1]}


def test_own_function_may_return_a_dict_or_a_dataset():
    dataset = load_dataset(Data(source=f"{__name__}:own_dict"))
    assert dataset.observed.tolist() == [0, 1, 0, 1]
    assert dataset.truth.tolist() == [0, 1, 1, 1]
    refused(
        Data(source=f"{__name__}:own_nonsense"), "must return a dict with x, y .*; found x, lab"
    )


def test_unknown_truth_and_classes_named_minus_one():
    dataset = load_dataset(Data(source=f"{__name__}:own_dataset"))
    assert dataset.classes == ["-1", "1"]
    assert dataset.observed.tolist() == [0, 1, 0, 1]
    assert dataset.truth.tolist() == [0, -1, -1, 1]
    named = make_dataset("here", np.eye(4), [-1, 1, -1, 1], truth=[-1, 1, 1, 1])
    assert named.truth.tolist() == [0, 1, 1, 1]


# ---- labels files


def test_labels_file_overrides_what_is_observed_and_not_the_truth(folder, tmp_path):
    labels = rows(tmp_path / "l.csv", [("train/a/0.png", "b"), ("b/1.png", "a"), ("./b/2.png", 0)])
    dataset = load_dataset(images(folder, labels=labels))
    assert dataset.observed.tolist() == [1, 0, 0, 1, 0, 0, 0, 1]
    assert dataset.truth.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]


def test_labels_file_may_name_rows_and_a_class_name_precedes_a_number(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.eye(3), y=[1, 2, 3])
    data = Data(source="arrays", path=tmp_path / "d.npz")
    labels = rows(tmp_path / "l.csv", [(0, 2), (2, 0)])
    observed = load_dataset(data.model_copy(update={"labels": labels})).observed
    assert observed.tolist() == [1, 1, 0]


def test_only_trusted_examples_have_a_known_truth(folder, tmp_path):
    trusted = rows(tmp_path / "t.csv", [("train/a/1.png", "b"), ("test/b/0.png", "b")])
    dataset = load_dataset(images(folder, trusted=trusted))
    assert dataset.truth.tolist() == [-1, 1, -1, -1, -1, -1, -1, 1]
    assert dataset.observed.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("train/a/0.png", "a"), ("a/9.png", "b")], "line 3: 'a/9.png' names no example"),
        ([("a/0.png", "cat")], "line 2: label 'cat': allowed are a, b"),
        ([("a/0.png", 2)], "line 2: label '2': allowed are a, b"),
        ([("a/0.png", "")], "line 2: label '': allowed"),
        ([("a/0.png", "a"), ("train/a/0.png", "b")], "line 3: .* occurs twice"),
        ([], "names no example"),
    ],
)
def test_wrong_lines_of_a_labels_file_are_refused(lines, message, folder, tmp_path):
    refused(images(folder, labels=rows(tmp_path / "l.csv", lines)), f"l.csv.*{message}")


def test_missing_labels_files_and_columns_are_refused(folder, tmp_path):
    refused(images(folder, labels=LabelsFile(file=tmp_path / "no.csv")), "no.csv: cannot be read")
    labels = rows(tmp_path / "l.csv", [], header=("image", "label"))
    refused(images(folder, trusted=labels), "no column 'path'; it has image, label")


@needs_cifar
def test_rates_of_cifar10n_from_its_labels_file(monkeypatch):
    """Disagreement with the clean labels as published by Wei et al., ICLR 2022."""
    file = SHARED / "cifar10n-labels.csv"
    with file.open(newline="") as lines:
        table = list(csv.DictReader(lines))
    dataset = make_dataset(
        "names only",
        np.zeros((len(table), 1)),
        [line["clean"] for line in table],
        names=[line["path"] for line in table],
    )
    monkeypatch.setattr(sources, "_read", lambda _: dataset)
    published = {"aggregate": 9.01, "random1": 17.23, "random2": 18.12, "random3": 17.64}
    for column, percent in (published | {"worst": 40.21}).items():
        noisy = load_dataset(Data(labels=LabelsFile(file=file, label=column)))
        assert 100 * (noisy.observed != noisy.truth).mean() == pytest.approx(percent, abs=0.006)


@needs_cifar
def test_real_jpeg_files_with_human_labels(tmp_path):
    """The first 300 files in the archive: airplanes only, so automobiles are painted."""
    with tarfile.open(SHARED / "cifar10-jpeg.tar.xz") as archive:
        for _, member in zip(range(300), archive, strict=False):
            archive.extract(member, tmp_path / "jpeg", filter="data")
    root = tmp_path / "jpeg" / "train"
    for other in ("automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"):
        paint(root / other / "0.jpg", (1, 2, 3), size=(32, 32))
    with (SHARED / "cifar10n-labels.csv").open(newline="") as file:
        worst = {line["path"]: line["worst"] for line in csv.DictReader(file)}
    paths = [path.relative_to(root).as_posix() for path in (root / "airplane").iterdir()]
    human = {path: worst[f"train/{path}"] for path in paths}
    assert len(human) > 200
    dataset = load_dataset(images(root, labels=rows(tmp_path / "l.csv", list(human.items()))))
    assert dataset.x.shape[1:] == (3, 32, 32)
    given = {n: dataset.classes[y] for n, y in zip(dataset.names, dataset.observed, strict=True)}
    assert given.items() >= human.items()
    with Image.open(root / "airplane" / "0007.jpg") as image:
        pixels = np.asarray(image).transpose(2, 0, 1)
    assert (dataset.x[dataset.names.index("airplane/0007.jpg")] == pixels).all()


# ---- fingerprint and cache


def test_fingerprint_is_of_values_and_labels_and_not_of_the_place(folder, tmp_path):
    first = load_dataset(images(folder)).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_dataset(images(moved)).fingerprint == first
    labels = rows(tmp_path / "l.csv", [("a/0.png", "b")])
    assert load_dataset(images(moved, labels=labels)).fingerprint != first
    assert load_dataset(images(moved, trusted=labels)).fingerprint != first
    (moved / "train" / "a" / "0.png").rename(moved / "train" / "b" / "00.png")
    relabelled = load_dataset(images(moved)).fingerprint
    assert relabelled != first
    paint(moved / "train" / "a" / "1.png", (21, 0, 1))
    assert load_dataset(images(moved)).fingerprint not in (first, relabelled)


def test_files_are_decoded_once_and_again_when_they_change(folder, monkeypatch):
    first = load_dataset(images(folder))
    assert isinstance(first.x, np.memmap)
    assert not first.x.flags.writeable
    with monkeypatch.context() as patch:
        patch.delitem(sources.FILES, "image_folder")
        patch.setitem(sources.FILES, "image_folder", lambda *_: pytest.fail("decoded again"))
        again = load_dataset(images(folder))
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    paint(folder / "train" / "a" / "0.png", (99, 0, 1))
    assert load_dataset(images(folder)).x[0, 0, 0, 0] == 99


def test_several_may_decode_the_same_folder_at_once(folder, cache):
    with ThreadPoolExecutor(4) as threads:
        done = threads.map(lambda _: load_dataset(images(folder)).fingerprint, range(8))
        assert len(set(done)) == 1
    assert len(list((cache / "data").iterdir())) == 1, "temporary folders were left behind"


def test_an_entry_made_meanwhile_by_another_process_stands(folder, monkeypatch):
    read = sources.FILES["image_folder"]

    def slow(data: Data, place: Path) -> Dataset:
        monkeypatch.setitem(sources.FILES, "image_folder", read)
        load_dataset(data)  # the other process is faster
        return read(data, place)

    monkeypatch.setitem(sources.FILES, "image_folder", slow)
    assert load_dataset(images(folder)).x.shape == (8, 3, 3, 4)


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "file"))
    refused(images(folder), r"cache .*file: .*; UNTUNED_CACHE names another folder")
