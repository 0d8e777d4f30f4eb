"""An .npz file becomes a checked data set."""

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused


def test_arrays_may_bring_their_own_test_set_and_names_of_classes(tmp_path):
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
def test_arrays_that_cannot_be_used_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), message)


def test_a_text_file_called_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_text("x,y\n")
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), "cannot be read as .npz")


# ---- damaged, and hostile ones

X, Y = np.zeros((20, 4)), np.arange(20) % 2


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    """The beginning of an array of doubles, and nothing behind it."""
    stream = io.BytesIO()
    fields = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def with_headers_changed(content: bytes, at: tuple[int, int], value: int) -> bytes:
    """An archive with a field of its members' local and central headers overwritten."""
    changed = bytearray(content)
    for signature, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), at, strict=True):
        start = 0
        while (start := changed.find(signature, start)) >= 0:
            changed[start + offset] = value
            start += 4
    return bytes(changed)


GOOD = archive(x=npy(X), y=npy(Y))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "File is not a zip file"),
        (npy(X), r"is a single array \(.npy\); needed is an .npz file with x and y"),
        (with_headers_changed(GOOD, (6, 8), 1), "is encrypted"),
        (with_headers_changed(GOOD, (8, 10), 97), "compression method is not supported"),
        (archive(x=header((2 * 10**9, 1000)), y=npy(Y)), "hold 16,000,000,000,000 bytes and holds"),
        (archive(x=header((-1, 4)), y=npy(Y)), "should hold -32 bytes"),
        (archive(x=b"hello", y=npy(Y)), "cannot be read as .npz"),
        (archive(x=npy(X)[:40], y=npy(Y)), "cannot be read as .npz"),
        (archive(x=npy(X)[:-8], y=npy(Y)), "should hold 640 bytes and holds 632"),
        (archive(x=b"\x93NUMPY\x01\x00\xf0\x10" + b"(" * 4336, y=npy(Y)), "cannot be read"),
        (archive(), "holds nothing; needed are x, y"),
        (GOOD[:200], "cannot be read as .npz"),
    ],
)
def test_a_file_that_is_no_sound_npz_is_refused(content, message, tmp_path):
    (tmp_path / "data.npz").write_bytes(content)
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), message)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((20, 0))}, r"x has shape \(20, 0\): it holds no values"),
        ({"x": np.zeros((20, 3, 0, 8), np.uint8)}, "it holds no values"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0)}, "it holds no values"),
        ({"x": np.full((20, 4), 1e300)}, "row 0, feature 0 is 1e.300: must be finite in float32"),
        ({"x": X.astype(complex)}, "x is complex128"),
        ({"x": 1}, r"x is int64 \(\)"),
        ({"x": np.zeros(20, [("a", int)])}, "must be uint8 images"),
        ({"x": np.array([{}] * 20, object)}, "x.npy holds Python objects: save text as"),
        ({"y": np.where(Y, np.inf, 0)}, "whole numbers, not float64 such as inf"),
        ({"y": np.where(Y, np.nan, 0)}, "whole numbers, not float64 such as nan"),
        ({"y": np.where(Y, 1e300, 0)}, "whole numbers, not float64 such as 1e.300"),
        ({"y": Y.astype("M8[D]")}, "not datetime64"),
        ({"y": Y.astype("S3")}, "not |S3 such as b'0'"),
        ({"y": Y[:, None]}, r"y has shape \(20, 1\)"),
        ({"y": 1}, r"y has shape \(\)"),
        (
            {"classes": [["a", "b"], ["c", "d"]]},
            r"classes has shape \(2, 2\)",
        ),
        ({"classes": "ab"}, r"classes has shape \(\)"),
        ({"x_test": X, "y_test": Y.astype(str)}, "both needed, shaped like x and y"),
        ({"x_test": X, "y_test": 1}, "both needed, shaped like x and y"),
    ],
)
def test_arrays_that_say_nothing_or_too_much_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **{"x": X, "y": Y} | arrays)
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), message)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_with_flipped_bits_is_refused_or_reads_as_before(save, tmp_path):
    path, rng = tmp_path / "data.npz", random.Random(0)
    save(path, x=np.random.default_rng(0).normal(size=(20, 4)), y=Y, classes=["a", "b"])
    content, before = path.read_bytes(), load_dataset(Data(source="arrays", path=path)).fingerprint
    outcomes = [flip_and_load(content, tmp_path / "flipped.npz", rng) for _ in range(200)]
    assert set(outcomes) == {before, "refused"}


def flip_and_load(content: bytes, path: Path, rng: random.Random) -> str:
    """The fingerprint with one bit of the members flipped; their directory has no checksum."""
    flipped = bytearray(content)
    flipped[rng.randrange(content.index(b"PK\x01\x02"))] ^= 1 << rng.randrange(8)
    path.write_bytes(flipped)
    try:
        return load_dataset(Data(source="arrays", path=path)).fingerprint
    except UserError as refusal:
        assert "\n" not in str(refusal)
        return "refused"
