"""Readers of a user's files: a folder of images, arrays, a table."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from pyarrow import csv, parquet
from rich.console import Console
from rich.progress import track

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.errors import UserError
from pipelines.study.protocol import Data


def _arrays(data: Data, folder: Path) -> Dataset:
    assert data.path
    try:
        with np.load(data.path) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{data.path}: cannot be read as .npz: {error}") from None
    if not {"x", "y"} <= set(arrays) <= {"x", "y", "x_test", "y_test", "classes"}:
        raise UserError(
            f"{data.path}: holds {preview(arrays)}; needed are x, y, optional x_test, y_test, "
            "classes"
        )
    x, y, test = arrays["x"], arrays["y"], None
    if "x_test" in arrays or "y_test" in arrays:
        if not {"x_test", "y_test"} <= set(arrays) or arrays["x_test"].shape[1:] != x.shape[1:]:
            raise UserError(f"{data.path}: x_test and y_test are both needed, shaped like x and y")
        test = np.arange(len(x) + len(arrays["x_test"])) >= len(x)
        x, y = np.concatenate([x, arrays["x_test"]]), np.concatenate([y, arrays["y_test"]])
    classes = arrays["classes"].tolist() if "classes" in arrays else None
    return make_dataset(str(data.path), x, y, test=test, classes=classes)


def _table(data: Data, folder: Path) -> Dataset:
    assert data.path
    readers = {".csv": csv.read_csv, ".parquet": parquet.read_table}
    if data.path.suffix.lower() not in readers:
        raise UserError(f"data.path = {str(data.path)!r}: a table is a .csv or .parquet file")
    try:
        table = readers[data.path.suffix.lower()](data.path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{data.path}: cannot be read: {' '.join(str(error).split())}") from None
    if data.target not in table.column_names:
        raise UserError(
            f"data.target = {data.target!r}: {data.path} has the columns "
            f"{preview(table.column_names)}"
        )
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if len(columns) < table.num_columns:
        raise UserError(
            f"{data.path}: two of the columns {preview(table.column_names)} share a name"
        )
    for name, column in columns.items():
        kind = column.type
        numeric = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        )
        if name != data.target and not numeric:
            raise UserError(f"{data.path}: column {name!r} is {kind}: features must be numbers")
        empty = column.null_count + _blank(column)
        if empty:
            raise UserError(
                f"{data.path}: column {name!r} has {empty} empty cells; fill them first"
            )
    y = np.asarray(columns.pop(data.target).to_pylist())
    with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
        features = [column.to_numpy().astype(np.float32) for column in columns.values()]
    if not features:
        raise UserError(f"{data.path}: has no column beside the target {data.target!r}")
    return make_dataset(str(data.path), np.stack(features, axis=1), y)


def _blank(column: pa.ChunkedArray) -> int:
    """Cells of text that hold nothing, or only spaces: in text, these are no nulls."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return 0
    return sum(text is not None and not text.strip() for text in column.to_pylist())


def _image_folder(data: Data, folder: Path) -> Dataset:
    assert data.path
    root = data.path
    parts = [part for part in ("train", "test") if (root / part).is_dir()]
    if len(parts) == 1:
        raise UserError(
            f"data.path = {str(root)!r}: has {parts[0]}/, but not both train/ and test/"
        )
    places = [root / part for part in parts] or [root]
    classes = sorted(p.name for p in places[0].iterdir() if p.is_dir() and p.name[0] != ".")
    found = [_images(place) for place in places]
    paths = [path for images in found for path in images]
    names = [path.relative_to(root).as_posix() for path in paths]
    y = [
        path.relative_to(place).parts[0]
        for place, images in zip(places, found, strict=True)
        for path in images
    ]
    if empty := set(classes) - set(y[: len(found[0])]):
        raise UserError(f"{places[0] / min(empty)}: holds no images")
    test = np.arange(len(paths)) >= len(found[0]) if parts else None
    x = _decode(paths, data.size, folder)
    return make_dataset(str(root), x, y, test=test, classes=classes, names=names)


def _images(place: Path) -> list[Path]:
    """Images in the class folders of a place, at any depth; hidden files are left out."""
    files = (path.relative_to(place) for path in place.glob("*/**/*"))
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    images = [f for f in files if f.suffix.lower() in IMG_EXTENSIONS]
    visible = sorted(f for f in images if not any(part.startswith(".") for part in f.parts))
    if not visible:
        raise UserError(f"{place}: holds no images in folders named by their class")
    return [place / f for f in visible]


def _decode(paths: list[Path], size: int | None, folder: Path) -> NDArray[np.uint8]:
    """Images [N, C, H, W], memory-mapped; grey if all are, else RGB."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        headers = list(threads.map(_header, paths))
        sizes = [(size, size) if size else header[0] for header in headers]
        if odd := next((i for i, s in enumerate(sizes) if s != sizes[0]), None):
            raise UserError(
                f"{paths[odd]}: is {sizes[odd]}, {paths[0].name} is {sizes[0]}; "
                "set data.size to resize all"
            )
        mode = "L" if all(header[1] in ("1", "L") for header in headers) else "RGB"
        width, height = sizes[0]
        x = open_memmap(folder / "x.npy", "w+", np.uint8, (len(paths), len(mode), height, width))

        def decode(row: int) -> None:
            try:
                with Image.open(paths[row]) as image:
                    pixels = np.asarray(
                        image.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
                    )
            except OSError as error:
                raise UserError(f"{paths[row]}: cannot be decoded: {error}") from None
            x[row] = pixels.reshape(height, width, -1).transpose(2, 0, 1)

        done = threads.map(decode, range(len(paths)))
        for _ in track(done, "decoding images", len(paths), console=Console(stderr=True)):
            pass
    return x


def _header(path: Path) -> tuple[tuple[int, int], str]:
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise UserError(
                    f"{path}: has mode {image.mode}: images must have 8 bits per channel"
                )
            return image.size, image.mode
    except OSError as error:
        raise UserError(f"{path}: cannot be read as an image: {error}") from None


FILES: dict[str, Callable[[Data, Path], Dataset]] = {
    "image_folder": _image_folder,
    "arrays": _arrays,
    "table": _table,
}
