"""Clothing1M and WebVision, as their authors lay them out."""

from pathlib import Path

import pytest

from pipelines.data.loading import load_dataset
from pipelines.data.sources import source_for
from pipelines.data.survey import survey
from pipelines.data.task import prepare
from pipelines.study.protocol import Data, Protocol, Splits
from tests.support.data_files import assert_refused, paint

NOISY = {f"images/0/{n}.png": n % 2 for n in range(8)}  # and 3 is wrong
CLEAN = {"images/0/3.png": 0, "images/0/4.png": 0, "images/1/8.png": 1, "images/1/9.png": 0}


def write_list(file: Path, lines: dict[str, int] | list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{k} {v}" for k, v in lines.items()] if isinstance(lines, dict) else lines
    file.write_text("".join(f"{text}\n" for text in texts))


@pytest.fixture(params=[".", "annotations"])
def clothing(tmp_path: Path, request) -> Data:
    root = tmp_path / "Clothing 1M"
    for name in NOISY | CLEAN:
        paint(root / name, (int(Path(name).stem), 0, 0))
    paint(root / "images" / "not listed.png", 99)
    lists = root / request.param
    write_list(lists / "noisy_label_kv.txt", NOISY)
    write_list(lists / "clean_label_kv.txt", CLEAN)
    write_list(lists / "clean_test_key_list.txt", ["images/1/8.png", "images/1/9.png"])
    write_list(lists / "category_names_eng.txt", ["T-Shirt", "Shirt"])
    return Data(source="clothing1m", path=root)


def test_noisy_labels_are_observed_and_clean_ones_true(clothing: Data):
    dataset = load_dataset(clothing)
    assert dataset.names == sorted(NOISY | CLEAN)
    assert dataset.x[:, 0, 0, 0].tolist() == list(range(10))
    assert dataset.observed.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, -1, -1]
    assert dataset.truth.tolist() == [-1, -1, -1, 0, 0, -1, -1, -1, 1, 0]
    assert dataset.test is not None and dataset.test.tolist() == [False] * 8 + [True] * 2
    assert dataset.classes == ["T-Shirt", "Shirt"]
    again = load_dataset(clothing)  # from the cache
    assert (again.truth == dataset.truth).all() and again.fingerprint == dataset.fingerprint


def test_its_splits_take_clean_labels_for_meta_val_and_test_and_train_on_the_rest(clothing: Data):
    root = clothing.path
    assert root
    lists = next(root.rglob("clean_label_kv.txt"))
    write_list(lists, CLEAN | {f"images/0/{n}.png": n % 2 for n in (0, 1, 5)})
    task = prepare(Protocol(data=clothing, splits=Splits(meta=2, val=2, test=None)), 0)
    assert task.sizes == {"train": 4, "meta": 2, "val": 2, "test": 2, "unlabelled": 0}
    assert task.test.index.tolist() == [8, 9] and task.test.y.tolist() == [1, 0]
    assert task.classes == ["T-Shirt", "Shirt"]


@pytest.fixture
def webvision(tmp_path: Path) -> Data:
    root = tmp_path / "webvision"
    google, flickr = ({f"{name}/q1/{n}.png": n for n in range(2)} for name in ("google", "flickr"))
    tested = {"val0.png": 1, "val1.png": 0}
    for name in [*google, *flickr, *(f"val_images_256/{name}" for name in tested)]:
        paint(root / name, 7)
    write_list(root / "info" / "train_filelist_google.txt", google)
    write_list(root / "info" / "train_filelist_flickr.txt", flickr)
    write_list(root / "info" / "val_filelist.txt", tested)
    write_list(
        root / "info" / "synsets.txt", ["n01440764 tench, Tinca", "n01443537 goldfish", "n3 c"]
    )
    return Data(source="webvision", path=root)


def test_labels_from_the_web_are_observed_and_those_for_testing_true(webvision: Data):
    dataset = load_dataset(webvision)
    names = ["flickr/q1/0.png", "flickr/q1/1.png", "google/q1/0.png", "google/q1/1.png"]
    assert dataset.names == [*names, "val_images_256/val0.png", "val_images_256/val1.png"]
    assert dataset.observed.tolist() == [0, 1, 0, 1, 1, 0]
    assert dataset.truth.tolist() == [-1, -1, -1, -1, 1, 0]
    assert dataset.test is not None and dataset.test.tolist() == [False] * 4 + [True] * 2
    assert dataset.classes == ["tench, Tinca", "goldfish"]  # nothing has the third


def test_new_knows_them_by_their_lists(clothing: Data, webvision: Data, folder: Path):
    for data in (clothing, webvision):
        assert data.path and source_for(data.path).name == data.source
    assert source_for(folder).name == "image_folder"


def test_when_a_list_changes_it_is_read_again(webvision: Data):
    assert webvision.path and len(load_dataset(webvision).names) == 6
    write_list(webvision.path / "info" / "train_filelist_flickr.txt", {"flickr/q1/0.png": 1})
    dataset = load_dataset(webvision)
    assert dataset.names[0] == "flickr/q1/0.png" and dataset.observed[0] == 1
    assert len(dataset.names) == 5


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        (
            "train_filelist_google.txt",
            ["a.png"],
            "line 1: 'a.png': must be an image and the number",
        ),
        ("train_filelist_google.txt", ["a.png -1"], "line 1: 'a.png -1': must be an image"),
        ("train_filelist_google.txt", ["a 1", "", "a 0"], "line 3: a has two labels, 1 and 0"),
        ("train_filelist_google.txt", ["google/q1/0.png 7"], "an image has class 7, of 3 classes"),
        ("train_filelist_google.txt", ["google/q1/8.png 1"], "8.png .No such file or directory"),
    ],
)
def test_what_does_not_fit_is_named(webvision: Data, file: str, lines: list[str], message: str):
    assert webvision.path
    write_list(webvision.path / "info" / file, lines)
    assert_refused(webvision, message)


def test_images_that_are_missing_may_be_left_out(webvision: Data):
    assert webvision.path
    (webvision.path / "google" / "q1" / "0.png").unlink()
    dataset = load_dataset(webvision.model_copy(update={"skip_broken": True}))
    assert dataset.left_out == ("google/q1/0.png",) and len(dataset.names) == 5


@pytest.mark.parametrize("name", ["clothing1m", "webvision"])
def test_a_folder_without_their_lists_is_refused(folder: Path, name: str):
    assert_refused(Data(source=name, path=folder), "noisy_label_kv|train_filelist")


def test_clean_images_without_a_noisy_label_are_none_whose_label_is_wrong(tmp_path: Path):
    root = tmp_path / "part"
    noisy = {f"images/{n}.png": n % 2 for n in range(60)}
    clean = {f"images/{n}.png": n % 2 for n in range(100)}  # 40 of them without a noisy label
    for name in clean:
        paint(root / name, (int(Path(name).stem), 0, 0))
    write_list(root / "noisy_label_kv.txt", noisy | {"images/0.png": 1, "images/1.png": 0})
    write_list(root / "clean_label_kv.txt", clean)
    assert survey(root).relabelled == pytest.approx(2 / 60)
