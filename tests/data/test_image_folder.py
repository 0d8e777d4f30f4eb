"""A folder of images becomes a checked data set."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from pipelines.data.images import SUFFIXES
from pipelines.data.loading import load_dataset
from tests.support.data_files import assert_refused, images, paint


def test_a_folder_with_train_and_test_has_its_own_test_set(folder):
    dataset = load_dataset(images(folder))
    assert dataset.x.shape == (8, 3, 3, 4)
    assert dataset.x[:, 0, 0, 0].tolist() == [10, 20, 30, 10, 20, 30, 40, 40]
    assert dataset.x[:, 1, 2, 3].tolist() == [0] * 3 + [100] * 3 + [0, 100]
    assert dataset.observed.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 6 + [True] * 2
    assert dataset.classes == ["a", "b"]
    assert dataset.names[0] == "train/a/0.png"


def test_a_folder_of_classes_has_no_test_set_and_hidden_files_are_left_out(folder):
    (folder / "train" / "a" / "readme.txt").write_text("no image")
    paint(folder / "train" / "a" / "._0.png", 0)
    paint(folder / "train" / ".trash" / "0.png", 0)
    paint(folder / "train" / "b" / "deeper" / "9.png", (9, 9, 9))
    dataset = load_dataset(images(folder / "train"))
    assert dataset.test is None
    assert dataset.names == [*(f"{c}/{n}.png" for c in "ab" for n in range(3)), "b/deeper/9.png"]


def test_images_are_looked_at_in_blocks_and_none_is_left_out(folder, monkeypatch):
    whole = load_dataset(images(folder))
    for block, share in ((1, 1), (3, 2), (7, 3), (7, 9)):
        monkeypatch.setattr("pipelines.data.images.BLOCK", block)
        monkeypatch.setattr("pipelines.data.images.SHARE", share)
        monkeypatch.setenv("UNTUNED_CACHE", str(folder / f".cache{block}-{share}"))
        assert (load_dataset(images(folder)).x == whole.x).all()


def test_grey_images_have_one_channel_unless_some_are_coloured(tmp_path):
    root = tmp_path / "grey"
    for name in "ab":
        paint(root / name / "0.png", 77, "L")
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77]] * 2
    paint(root / "a" / "1.png", (1, 2, 3))
    assert load_dataset(images(root)).x[:, :, 0, 0].tolist() == [[77] * 3, [1, 2, 3], [77] * 3]


def test_images_of_different_sizes_need_data_size(folder):
    paint(folder / "train" / "b" / "odd.png", (5, 5, 5), size=(9, 9))
    assert_refused(images(folder), r"odd.png: is \(9, 9\), 0.png is \(4, 3\); set data.size")
    dataset = load_dataset(images(folder, size=6))
    assert dataset.x.shape == (9, 3, 6, 6)
    assert (dataset.x[dataset.names.index("train/b/odd.png")] == 5).all()


def test_a_folder_that_cannot_be_used_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(images(tmp_path / "empty"), "holds no images in folders.* its files: none")
    (folder / "train" / "c").mkdir()
    assert_refused(images(folder), "train/c: holds no images; its files: none; images are .jpg")
    for name in ("0.GIF", "1.gif", "2.heic", ".DS_Store", "README"):
        (folder / "train" / "c" / name).touch()
    kinds = "2 .gif, 1 .heic, 1 hidden, 1 without an ending"
    assert_refused(images(folder), f"train/c: holds no images; its files: {kinds}; images")
    shutil.rmtree(folder / "train" / "c")
    paint(folder / "test" / "z" / "0.png", (0, 0, 0))
    assert_refused(images(folder), "label 'z': allowed are a, b")
    (folder / "train" / "a" / "0.png").write_bytes(b"nonsense")
    assert_refused(
        images(folder),
        "1 of 9 images .*: train/a/0.png .no image in a known format",
    )
    (folder / "test").rename(folder / "val")
    assert_refused(images(folder), "has train/, but not both train/ and test/")


def test_what_lies_behind_links_is_read_and_known_to_the_cache(tmp_path):
    """A class folder, a folder below it, and a file, each of them a link."""
    for name in ("a", "store/b/deep"):
        paint(tmp_path / "real" / name / "0.png", (10, 0, 1))
    paint(tmp_path / "real" / "one.png", (30, 0, 1))
    root = tmp_path / "set"
    (root / "a").mkdir(parents=True)
    (root / "a" / "nested").symlink_to(tmp_path / "real" / "a")
    (root / "a" / "one.png").symlink_to(tmp_path / "real" / "one.png")
    (root / "b").symlink_to(tmp_path / "real" / "store" / "b")
    dataset = load_dataset(images(root))
    assert dataset.names == ["a/nested/0.png", "a/one.png", "b/deep/0.png"]
    for changed in ("a/0.png", "one.png", "store/b/deep/0.png"):
        paint(tmp_path / "real" / changed, (77, 0, 1))
        again = load_dataset(images(root))
        assert again.fingerprint != dataset.fingerprint, f"{changed} came from the cache"
        dataset = again
    paint(tmp_path / "real" / "store" / "b" / "new.png", (50, 0, 1))
    assert len(load_dataset(images(root)).x) == 4
    (tmp_path / "link").symlink_to(root)
    assert load_dataset(images(tmp_path / "link")).names[-1] == "b/new.png"


def test_train_and_test_may_be_links(folder, tmp_path):
    root = tmp_path / "links"
    root.mkdir()
    for part in ("train", "test"):
        (root / part).symlink_to(folder / part)
    first = load_dataset(images(root)).fingerprint
    assert first == load_dataset(images(folder)).fingerprint
    paint(folder / "test" / "a" / "0.png", (77, 0, 1))
    assert load_dataset(images(root)).fingerprint != first


def test_what_is_an_image_is_what_torchvision_takes_for_one():
    assert SUFFIXES == IMG_EXTENSIONS


def test_links_in_a_circle_end(folder):
    (folder / "train" / "a" / "up").symlink_to(folder / "train")
    (folder / "train" / "a" / "itself").symlink_to("itself")
    assert len(load_dataset(images(folder)).x) == 8


def stripe(path: Path, orientation: int, **options: Any) -> None:
    """An image of 12 x 8 pixels as stored, its top white; EXIF says how to turn it."""
    image = Image.new("RGB", (12, 8))
    image.paste((255, 255, 255), (0, 0, 12, 4))
    exif = image.getexif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif, **options)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "shape", "white"),
    [(1, (8, 12), "top"), (3, (8, 12), "bottom"), (6, (12, 8), "right"), (8, (12, 8), "left")],
)
def test_images_are_turned_as_exif_says(orientation, shape, white, suffix, tmp_path):
    for name in "ab":
        stripe(tmp_path / "set" / name / f"0.{suffix}", orientation)
    x = load_dataset(images(tmp_path / "set")).x[0, 0]
    assert x.shape == shape
    corners = {"top": x[0, :], "bottom": x[-1, :], "left": x[:, 0], "right": x[:, -1]}
    assert {side for side, pixels in corners.items() if pixels.min() > 200} == {white}


def test_images_that_are_turned_have_the_size_that_they_are_looked_at(tmp_path):
    stripe(tmp_path / "set" / "a" / "0.jpg", 6)
    paint(tmp_path / "set" / "b" / "0.jpg", (1, 2, 3), size=(8, 12))
    assert load_dataset(images(tmp_path / "set")).x.shape == (2, 3, 12, 8)


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    for name in "ab":
        stripe(tmp_path / "set" / name / "0.jpg", 6)
    for file in (tmp_path / "set").rglob("*.jpg"):
        file.write_bytes(file.read_bytes().replace(b"MM\0*", b"MM\0?"))
    assert load_dataset(images(tmp_path / "set")).x.shape == (2, 3, 8, 12)


def test_a_size_that_no_disk_holds_is_refused(folder):
    assert_refused(images(folder, size=1_000_000_000), r"data.size = 1000000000: 8 images .* left")
