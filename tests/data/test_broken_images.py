"""Whatever lies under the name of an image: all that cannot be read is told in one message."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.data.labels_file import guess_columns, read_labels
from pipelines.data.loading import load_dataset
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, Splits
from tests.support.data_files import assert_refused, images, paint, write_labels


def noise(path: Path, **options) -> None:
    """An image that takes some kilobytes."""
    Image.effect_noise((64, 64), 50).convert("RGB").save(path, **options)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no image")


def sixteen_bits(path: Path) -> None:
    Image.new("I;16", (4, 3), 7000).save(path, format="png")


def truncated(path: Path) -> None:
    noise(path)
    path.write_bytes(path.read_bytes()[:1000])


def bomb(path: Path) -> None:
    """A small file whose image would take 1.2 gigabytes."""
    Image.new("1", (20_000, 20_000)).save(path, format="png")


def damaged_ppm(path: Path) -> None:
    path.write_bytes(b"P6\nabc 3 255\n")


def damaged_tiff(path: Path) -> None:
    noise(path, format="tiff", compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[8:2000] = b"\xff" * 1992
    path.write_bytes(content)


def postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n")


BROKEN = {
    fifo: "no regular file",
    dangling: "No such file or directory",
    empty: "no image in a known format",
    text: "no image in a known format",
    sixteen_bits: "mode I;16",
    truncated: "",
    bomb: "decompression bomb",
    damaged_ppm: "",
    damaged_tiff: "",
    postscript: "no image in a known format",
}


@pytest.mark.parametrize("damage", BROKEN, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("suffix", ["png", "ppm", "tif", "jpg"])
def test_one_image_that_cannot_be_read_is_named(damage, suffix, folder, capfd):
    if damage is bomb and suffix != "png":
        pytest.skip("the same file, and slow to make")
    damage(folder / "train" / "a" / f"odd.{suffix}")
    assert_refused(
        images(folder, size=4),
        rf"1 of 9 images cannot be read: train/a/odd\.{suffix} \(.*{BROKEN[damage]}.*\)\. Repair",
    )
    assert capfd.readouterr().err == "", "a library spoke beside the message"


def test_all_images_that_cannot_be_read_are_in_one_message(folder):
    """Those that only decoding finds, too, and whatever the sizes of the others."""
    for number, damage in enumerate(damage for damage in BROKEN if damage is not bomb):
        damage(folder / "train" / "b" / f"{number + 10}.png")
    paint(folder / "test" / "a" / "large.png", 0, size=(9, 9))
    with pytest.raises(UserError) as refusal:
        load_dataset(images(folder))
    message = str(refusal.value)
    assert "9 of 18 images cannot be read" in message and "\n" not in message
    assert all(f"train/b/{number + 10}.png" in message for number in range(9))


def test_broken_images_are_left_out_and_counted_where_the_study_says_so(folder):
    whole = load_dataset(images(folder, size=4))
    truncated(folder / "train" / "a" / "00.png")
    text(folder / "train" / "b" / "9.png")
    fifo(folder / "test" / "b" / "9.png")
    data = images(folder, size=4, skip_broken=True)
    for dataset in (load_dataset(data), load_dataset(data)):  # decoded, and from the cache
        assert dataset.left_out == ("test/b/9.png", "train/a/00.png", "train/b/9.png")
        assert dataset.names == whole.names and (dataset.x == whole.x).all()
        assert dataset.fingerprint == whole.fingerprint
    protocol = Protocol(data=data, splits=Splits(meta=2, val=2))
    assert prepare(protocol, 0).description["left_out"] == 3
    for left_out in load_dataset(data).left_out:
        (folder / left_out).unlink()
    assert "left_out" not in prepare(protocol, 1).description


def test_a_labels_file_may_name_images_that_are_broken_and_left_out(folder, tmp_path):
    truncated(folder / "train" / "a" / "00.png")
    lines = [("train/a/0.png", "b"), ("a/00.png", "b"), ("train/a/00", "b"), ("b/1.png", "a")]
    labels = write_labels(tmp_path / "l.csv", lines)
    data = images(folder, size=4, skip_broken=True)
    dataset = load_dataset(data)
    assert read_labels(labels, dataset)[1] == [1, 0]
    assert guess_columns(labels.file, dataset) == labels
    (folder / "train" / "a" / "00.png").unlink()  # no longer there, it is a mistake again
    assert_refused(data.model_copy(update={"labels": labels}), "'a/00.png' names no example")


def test_leaving_out_every_image_of_a_class_is_refused(tmp_path):
    paint(tmp_path / "set" / "a" / "0.png", (1, 2, 3))
    (tmp_path / "set" / "b").mkdir()
    text(tmp_path / "set" / "b" / "0.png")
    assert_refused(images(tmp_path / "set", skip_broken=True), "b: holds no images")


def test_long_texts_in_an_image_and_90_million_pixels_are_no_damage(tmp_path):
    """Renderers write prompts into PNG files; a large scan is slow, and fine."""
    note = PngImagePlugin.PngInfo()
    note.add_text("parameters", "x" * 2_000_000, zip=True)
    for name in "ab":
        paint(tmp_path / "set" / name / "0.png", (1, 2, 3), size=(16, 16))
    Image.new("RGB", (16, 16)).save(tmp_path / "set" / "a" / "prompt.png", pnginfo=note)
    Image.new("1", (9_500, 9_500)).save(tmp_path / "set" / "a" / "scan.png")
    assert len(load_dataset(images(tmp_path / "set", size=4)).x) == 4


def test_images_with_flipped_bits_are_read_or_named(folder):
    """No damage of any format ends in anything but a message."""
    rng = np.random.default_rng(0)
    for number in range(120):
        suffix = ("png", "jpg", "bmp", "ppm", "tif", "webp")[number % 6]
        file = folder / "train" / "a" / f"{number}x.{suffix}"
        noise(file)
        content = np.frombuffer(file.read_bytes(), np.uint8).copy()
        where = rng.integers(0, min(len(content), 400), 6)
        content[where] ^= 1 << rng.integers(0, 8, 6).astype(np.uint8)
        file.write_bytes(content[: rng.integers(20, len(content) + 1)].tobytes())
    with pytest.raises(UserError, match=r"of 128 images cannot be read: .* Repair or remove"):
        load_dataset(images(folder, size=4))
