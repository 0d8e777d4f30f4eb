"""A folder of images alone, and a CSV file that says what they show."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.commands.new import choices
from pipelines.data.loading import load_dataset
from pipelines.data.survey import summary, survey
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data, Protocol, Splits
from tests.support.data_files import assert_refused, images, paint

CLASSES = ("cat", "dog")


@pytest.fixture
def photos(tmp_path) -> Path:
    """24 images: the even ones are of cats."""
    for number in range(24):
        paint(tmp_path / "photos" / f"p{number:02}.png", (number, 0, 0))
    return tmp_path / "photos"


def write(path: Path, header: str, *cells) -> Path:
    """A CSV file with a line for each image; cells: of its number, after its name."""
    lines = [",".join([f"p{n:02}.png", *(str(cell(n)) for cell in cells)]) for n in range(24)]
    path.write_text("\n".join([header, *lines]))
    return path


def true(number: int) -> str:
    return CLASSES[number % 2]


def crowd(number: int) -> str:
    return CLASSES[(number + (number < 6)) % 2]


def test_classes_and_true_labels_are_those_of_the_file(photos, tmp_path):
    labels = LabelsFile(file=write(tmp_path / "l.csv", "path,label", true))
    dataset = load_dataset(images(photos, labels=labels))
    assert dataset.classes == ["cat", "dog"] and dataset.x.shape == (24, 3, 3, 4)
    assert dataset.observed.tolist() == dataset.truth.tolist() == [0, 1] * 12
    assert dataset.names[3] == "p03.png" and dataset.test is None


def test_what_annotators_say_is_true_where_nobody_knows_better(photos, tmp_path):
    """And stays so where their errors are estimated anew, without the test examples."""
    lines = [f"p{n:02}.png,{who},{true(n + (n % 9 == who))}" for n in range(24) for who in range(3)]
    (tmp_path / "l.csv").write_text("\n".join(["path,worker,label", *lines]))
    labels = LabelsFile(file=tmp_path / "l.csv", annotator="worker", rule="dawid_skene")
    data = images(photos, labels=labels)
    assert load_dataset(data).answers.true
    train = prepare(Protocol(data=data, splits=Splits(meta=2, val=2, test=6)), 0).train
    assert len(train) == 14 and train.y.tolist() == train.truth.tolist()


def test_an_image_that_the_file_does_not_name_has_no_label(photos, tmp_path):
    file = write(tmp_path / "l.csv", "path,label", true)
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    dataset = load_dataset(images(photos, labels=LabelsFile(file=file)))
    assert dataset.observed[-2:].tolist() == dataset.truth[-2:].tolist() == [0, -1]


def test_without_a_file_or_with_one_class_it_is_refused(photos, tmp_path):
    assert_refused(
        images(photos), r"photos: its images lie in no folders named .*new --labels FILE"
    )
    file = write(tmp_path / "l.csv", "path,label", lambda n: "cat")
    assert_refused(images(photos, labels=LabelsFile(file=file)), "column 'label' holds cat: two")


@pytest.mark.parametrize(
    ("header", "cells", "path", "label"),
    [
        ("filename,breed", [true], "filename", "breed"),
        ("path,label", [true], "path", "label"),
        ("image,crowd_label,worker", [crowd, lambda n: f"w{n % 5}"], "image", "crowd_label"),
        ("image,licence,breed", [lambda n: "cc", true], "image", "breed"),
        ("image,where,Class", [lambda n: n % 3, true], "image", "Class"),
    ],
)
def test_columns_are_found_by_what_is_in_them(photos, tmp_path, header, cells, path, label):
    seen = survey(photos, write(tmp_path / "l.csv", header, *cells))
    assert (seen.data.labels.path, seen.data.labels.label) == (path, label)
    assert dict(summary(seen))["labels file"] == f"column {label!r}, of the examples in {path!r}"


def test_names_without_their_ending_are_names(photos, tmp_path):
    file = write(tmp_path / "l.csv", "id,breed", true)
    file.write_text(file.read_text().replace(".png", ""))
    assert survey(photos, file).counts == [12, 12]


def test_where_two_columns_may_be_meant_a_flag_says_which(photos, tmp_path):
    file = write(tmp_path / "l.csv", "image,breed,colour", true, lambda n: ("red", "blue")[n // 12])
    with pytest.raises(UserError, match=r"which column has the labels\? It has breed, colour: --l"):
        survey(photos, file)
    assert survey(photos, file, label_column="colour").dataset.classes == ["blue", "red"]
    with pytest.raises(UserError, match=r"no column 'size'; it has image, breed, colour"):
        survey(photos, file, label_column="size")
    with pytest.raises(UserError, match="--label-column are of the file that --labels names"):
        survey(photos, label_column="colour")


def test_a_column_of_workers_is_no_label_beside_folders_of_classes(tmp_path):
    for number in range(24):
        paint(tmp_path / "pets" / true(number) / f"p{number:02}.png", (number, 0, 0))
    lines = [f"{true(n)}/p{n:02}.png,{crowd(n)},{n % 2}" for n in range(24)]
    (tmp_path / "l.csv").write_text("\n".join(["path,crowd_label,worker", *lines]))
    seen = survey(tmp_path / "pets", tmp_path / "l.csv")
    assert seen.data.labels.label == "crowd_label"
    assert seen.relabelled == pytest.approx(6 / 24)


def test_a_list_of_trusted_examples_sizes_the_splits(photos, tmp_path):
    labels = write(tmp_path / "l.csv", "path,crowd", crowd)
    trusted = write(tmp_path / "t.csv", "path,label", true)
    trusted.write_text("\n".join(trusted.read_text().splitlines()[:17]))
    seen = survey(photos, labels, trusted)
    assert seen.trusted == 16 and seen.dataset.truth.tolist() == [0, 1] * 8 + [-1] * 8
    choice = choices(seen)
    assert (choice["small"], choice["test"]) == (4, 8)
    assert dict(summary(seen))["trusted"] == "16 examples; 37.5% of them had another label"
    trusted.write_text("\n".join(trusted.read_text().splitlines()[:6]))
    with pytest.raises(UserError, match="class 'dog': has 2 examples by trusted label; 3 are"):
        survey(photos, labels, trusted)


def test_a_labels_file_may_be_a_spreadsheets(photos, tmp_path):
    file = write(tmp_path / "l.csv", "path,label", true)
    file.write_bytes(file.read_text().replace(",", ";").encode("utf-16"))
    assert load_dataset(Data(source="image_folder", path=photos, labels=LabelsFile(file=file)))
    assert np.array_equal(survey(photos, file).counts, [12, 12])
