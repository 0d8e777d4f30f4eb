"""Labels files apply to the examples that they name, and to no others."""

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data import loading
from pipelines.data.dataset import make_dataset
from pipelines.data.labels_file import read_labels
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused, images, paint, write_labels

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_cifar = pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is absent")


def test_a_labels_file_overrides_what_is_observed_and_not_the_truth(folder, tmp_path):
    labels = write_labels(
        tmp_path / "l.csv", [("train/a/0.png", "b"), ("b/1.png", "a"), ("./b/2.png", 0)]
    )
    dataset = load_dataset(images(folder, labels=labels))
    assert dataset.observed.tolist() == [1, 0, 0, 1, 0, 0, 0, 1]
    assert dataset.truth.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]


def test_a_labels_file_may_name_rows_and_a_class_name_precedes_a_number(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.eye(3), y=[1, 2, 3])
    data = Data(source="arrays", path=tmp_path / "d.npz")
    labels = write_labels(tmp_path / "l.csv", [(0, 2), (2, 0)])
    observed = load_dataset(data.model_copy(update={"labels": labels})).observed
    assert observed.tolist() == [1, 1, 0]


def test_a_name_that_two_examples_have_is_refused_where_a_line_means_it(tmp_path):
    dataset = make_dataset("d", np.eye(3), ["a", "b", "a"], names=["first", "second", "first"])
    fine = write_labels(tmp_path / "fine.csv", [("second", "a")])
    assert read_labels(fine, dataset) == ([1], [0])
    labels = write_labels(tmp_path / "l.csv", [("second", "a"), ("first", "b")])
    with pytest.raises(UserError, match=r"l\.csv, line 3: 'first' names 2 examples"):
        read_labels(labels, dataset)


def test_only_trusted_examples_have_a_known_truth(folder, tmp_path):
    trusted = write_labels(tmp_path / "t.csv", [("train/a/1.png", "b"), ("test/b/0.png", "b")])
    dataset = load_dataset(images(folder, trusted=trusted))
    assert dataset.truth.tolist() == [-1, 1, -1, -1, -1, -1, -1, 1]
    assert dataset.observed.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert dataset.verified.tolist() == [[1, 1], [0, 1]]  # of both lines, the label before


def test_a_verified_example_that_had_no_label_says_nothing_of_wrong_ones(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.eye(4), y=[0, -1, 1, -1], classes=["a", "b"])
    trusted = write_labels(tmp_path / "t.csv", [(0, "b"), (1, "b"), (2, "b")])
    data = Data(source="arrays", path=tmp_path / "d.npz", trusted=trusted)
    assert load_dataset(data).verified.tolist() == [[1, 1], [0, 1]]


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
    assert_refused(
        images(folder, labels=write_labels(tmp_path / "l.csv", lines)), f"l.csv.*{message}"
    )


def test_missing_labels_files_and_columns_are_refused(folder, tmp_path):
    assert_refused(
        images(folder, labels=LabelsFile(file=tmp_path / "no.csv")), "no.csv: is no file"
    )
    labels = write_labels(tmp_path / "l.csv", [], header=("image", "label"))
    assert_refused(images(folder, trusted=labels), "no column 'path'; it has image, label")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('path,label\na/0.png,"b\n', "cannot be read: unexpected end of data"),
        ('path,label\na/0.png,"b\na/1.png,"a"\n', "cannot be read: ',' expected after '\"'"),
        ('path,label\n"a/0.png,b\na/1.png,a\n', "cannot be read: unexpected end of data"),
        ("path,label\na/0.png\n", "line 2: label '': allowed are a, b"),
        ("path,label,label\na/0.png,a,b\n", "two columns 'label'; it has path, label, label"),
        ("path,label\na/0.png,\0\n", "l.csv"),
        ("", "no column 'path'; it has no columns"),
        ("path,label\n" + "x" * 200_000 + ",a\n", "cannot be read: field larger than"),
    ],
)
def test_a_labels_file_that_is_no_sound_csv_is_refused(content, message, folder, tmp_path):
    (tmp_path / "l.csv").write_text(content)
    assert_refused(images(folder, labels=LabelsFile(file=tmp_path / "l.csv")), message)


def test_a_labels_file_may_be_in_windows_dress(folder, tmp_path):
    text = "path,label\r\na/0.png,b\r\n\r\n"
    (tmp_path / "l.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    labels = LabelsFile(file=tmp_path / "l.csv")
    assert load_dataset(images(folder, labels=labels)).observed[0] == 1


@pytest.mark.slow
@needs_cifar
def test_the_labels_files_of_cifar10n_have_the_published_noise_rates(monkeypatch):
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
    monkeypatch.setattr(loading, "read_source", lambda *_: dataset)
    published = {"aggregate": 9.01, "random1": 17.23, "random2": 18.12, "random3": 17.64}
    for column, percent in (published | {"worst": 40.21}).items():
        noisy = load_dataset(Data(labels=LabelsFile(file=file, label=column)))
        assert 100 * (noisy.observed != noisy.truth).mean() == pytest.approx(percent, abs=0.006)


@needs_cifar
def test_real_jpeg_files_are_read_with_human_labels(tmp_path):
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
    dataset = load_dataset(
        images(root, labels=write_labels(tmp_path / "l.csv", list(human.items())))
    )
    assert dataset.x.shape[1:] == (3, 32, 32)
    given = {n: dataset.classes[y] for n, y in zip(dataset.names, dataset.observed, strict=True)}
    assert given.items() >= human.items()
    with Image.open(root / "airplane" / "0007.jpg") as image:
        pixels = np.asarray(image).transpose(2, 0, 1)
    assert (dataset.x[dataset.names.index("airplane/0007.jpg")] == pixels).all()
