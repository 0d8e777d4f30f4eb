"""A small file or folder of every kind that data sources read, and readers of other make for them.

A reader gives the values that a file holds, or None where it has no opinion: of images, TIFF that
is compressed, for example.
"""

import csv
import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import decode_image

from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
PIXELS = np.random.default_rng(1).integers(0, 256, (24, 3, 6, 5), np.uint8)
Y = np.arange(24) % 3
NAMES = np.array(["ant", "bee", "cat"])


class Content(NamedTuple):
    """Values x [N, ...] and the names of their classes [N]."""

    x: NDArray[Any]
    labels: list[str]


class FileKind(NamedTuple):
    """One kind of file: its bytes, where they lie, how a study names it, and another reader."""

    content: bytes
    place: str
    study: Callable[[Path], Data]
    read: Callable[[Path], Content | None]
    around: Callable[[Path], None] = lambda folder: None  # makes what else must be there
    checksums: bool = False  # whether it tells a flipped bit by itself
    reads_damaged: bool = True  # whether the other reader can be believed of a damaged one


# ---- arrays


def _npz(compressed: bool = False, **arrays: Any) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def _arrays(path: Path) -> Content:
    """By the headers before each member of the archive, whatever its directory at the end says."""
    content, arrays = path.read_bytes(), {}
    for place in (match.start() for match in re.finditer(rb"PK\x03\x04", content)):
        packing, _, _, _, _, _, length, extra = struct.unpack_from("<HHHLLLHH", content, place + 8)
        start = place + 30 + length
        member = content[start + extra :]
        name = content[place + 30 : start].decode().removesuffix(".npy")
        member = zlib.decompressobj(-15).decompress(member) if packing else member
        arrays[name] = np.load(io.BytesIO(member))
    x, y = arrays["x"], arrays["y"]
    if "x_test" in arrays:
        x, y = np.concatenate([x, arrays["x_test"]]), np.concatenate([y, arrays["y_test"]])
    classes = arrays.get("classes")
    return Content(x, [str(label if classes is None else classes[label]) for label in y])


def _study_of_arrays(folder: Path) -> Data:
    return Data(source="arrays", path=folder / "d.npz")


def _refuses(path: Path) -> Content:
    raise ValueError("no .npz file")


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, X)
    return stream.getvalue()


# ---- tables


def _frame() -> pd.DataFrame:
    frame = pd.DataFrame({f"f{i}": X[:, i] for i in range(3)})
    return frame.assign(count=np.arange(24) * 7, label=NAMES[Y])


def _parquet(**options: Any) -> bytes:
    stream = io.BytesIO()
    _frame().to_parquet(stream, index=False, **options)
    return stream.getvalue()


def _of_frame(frame: pd.DataFrame) -> Content:
    labels = frame.pop("label")
    assert not frame.isna().any(axis=None) and not labels.isna().any()
    return Content(frame.to_numpy(np.float32), [str(label) for label in labels])


def _csv_table(path: Path) -> Content:
    with path.open(newline="", encoding="utf-8-sig") as file:
        names, *rows = [row for row in csv.reader(file, strict=True) if row]
    assert all(len(row) == len(names) for row in rows)
    label = names.index("label")
    values = [[float(v.strip()) for i, v in enumerate(row) if i != label] for row in rows]
    return Content(np.array(values, np.float64).astype(np.float32), [row[label] for row in rows])


def _study_of_table(name: str) -> Callable[[Path], Data]:
    return lambda folder: Data(source="table", path=folder / name)


# ---- labels files


def _labels_csv() -> bytes:
    lines = ["path,label", *(f"{row},{NAMES[(row + 1) % 3]}" for row in range(0, 24, 2))]
    return "\n".join(lines).encode() + b"\n"


def _arrays_beside(folder: Path) -> None:
    (folder / "d.npz").write_bytes(_npz(x=X, y=NAMES[Y]))


def _study_of_labels(folder: Path) -> Data:
    data = _study_of_arrays(folder)
    return data.model_copy(update={"labels": LabelsFile(file=folder / "l.csv")})


def _labelled(path: Path) -> Content:
    labels = NAMES[Y].tolist()
    with path.open(newline="", encoding="utf-8-sig") as file:
        names, *rows = [row for row in csv.reader(file, strict=True) if row]
    path_at, label_at = names.index("path"), names.index("label")
    for row in rows:
        label = row[label_at].strip()
        labels[int(row[path_at])] = NAMES[int(label)].item() if label.isdigit() else label
    return Content(X, labels)


# ---- images


def _image(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[0].transpose(1, 2, 0)).save(stream, kind, **options)
    return stream.getvalue()


def _images_beside(folder: Path) -> None:
    for name in "ab":
        (folder / "set" / name).mkdir(parents=True)
        (folder / "set" / name / "good.png").write_bytes(_image("png"))


def _study_of_images(folder: Path) -> Data:
    return Data(source="image_folder", path=folder / "set")


def _decoded(path: Path) -> NDArray[np.uint8] | None:
    content = path.read_bytes()
    if content[:2] == b"BM":
        return _bmp(content)
    if content[:2] == b"P6":
        return _ppm(content)
    if content[:2] in (b"II", b"MM"):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode="RGB")
    return (pixels[0] if pixels.dim() == 4 else pixels).numpy()


def _bmp(content: bytes) -> NDArray[np.uint8] | None:
    start, header, width, height, planes, bits, packed = struct.unpack_from("<IIiiHHI", content, 10)
    if (header, planes, bits, packed) != (40, 1, 24, 0):
        return None
    line = (width * 3 + 3) // 4 * 4
    content += bytes(line - width * 3)  # what fills up the last line may be left out
    rows = np.frombuffer(content, np.uint8, line * abs(height), start).reshape(abs(height), line)
    pixels = rows[:, : width * 3].reshape(abs(height), width, 3)[:: -1 if height > 0 else 1]
    return pixels[:, :, ::-1].transpose(2, 0, 1)


def _ppm(content: bytes) -> NDArray[np.uint8] | None:
    header = content.split(maxsplit=4)[:4]
    if b"#" in b"".join(header) or header[3] != b"255":
        return None
    width, height = int(header[1]), int(header[2])
    start = content.index(b"255") + 4
    pixels = np.frombuffer(content, np.uint8, width * height * 3, start)
    return pixels.reshape(height, width, 3).transpose(2, 0, 1)


def _folder_of_images(path: Path) -> Content | None:
    pixels = _decoded(path)
    if pixels is None:
        return None
    good = PIXELS[0]
    return Content(np.stack([good, pixels, good]), ["a", "a", "b"])


def _image_kind(suffix: str, kind: str, **options: Any) -> FileKind:
    place = f"set/a/odd.{suffix}"
    return FileKind(
        _image(kind, **options),
        place,
        _study_of_images,
        _folder_of_images,
        _images_beside,
        checksums=kind == "png",
        reads_damaged=kind != "gif",
    )


def _npz_kind(**arrays: Any) -> FileKind:
    return FileKind(_npz(**arrays), "d.npz", _study_of_arrays, _arrays, checksums=True)


KINDS = {
    "npz": _npz_kind(x=X, y=NAMES[Y]),
    "npz_test_set": _npz_kind(x=PIXELS, y=Y, x_test=PIXELS[:6], y_test=Y[:6], classes=NAMES),
    "npz_compressed": _npz_kind(compressed=True, x=X, y=Y, classes=NAMES),
    "npy": FileKind(_npy(), "d.npz", _study_of_arrays, _refuses),
    "csv": FileKind(
        _frame().to_csv(index=False).encode(), "d.csv", _study_of_table("d.csv"), _csv_table
    ),
    "parquet": FileKind(
        _parquet(),
        "d.parquet",
        _study_of_table("d.parquet"),
        lambda path: _of_frame(pd.read_parquet(path)),
    ),
    "parquet_plain": FileKind(
        _parquet(compression=None, use_dictionary=False),
        "d.parquet",
        _study_of_table("d.parquet"),
        lambda path: _of_frame(pd.read_parquet(path)),
    ),
    "labels": FileKind(_labels_csv(), "l.csv", _study_of_labels, _labelled, _arrays_beside),
    "png": _image_kind("png", "png"),
    "jpeg": _image_kind("jpg", "jpeg", quality=95),
    "ppm": _image_kind("ppm", "ppm"),
    "tiff": _image_kind("tif", "tiff"),
    "tiff_lzw": _image_kind("tif", "tiff", compression="tiff_lzw"),
    "gif": _image_kind("png", "gif"),
    "webp": _image_kind("webp", "webp", lossless=True),
    "bmp": _image_kind("bmp", "bmp"),
}
