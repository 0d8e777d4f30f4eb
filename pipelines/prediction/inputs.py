"""Inputs as people have them -> tensors as the data set stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.data.columns import Column, parse
from pipelines.data.conversion import Conversion
from pipelines.data.dataset import Encoding
from pipelines.data.encoding import encode
from pipelines.data.images import Unreadable, decode, read_header, read_pixels
from pipelines.data.paths import is_there
from pipelines.data.table_file import read_frame
from pipelines.errors import UserError, one_line

MODES = {1: "L", 3: "RGB"}  # Pillow's, by number of channels
LAST = (1, 3, 4)  # channels of an array that has them last
Shape = tuple[int, int, int]


def images(inputs: Any, shape: Shape, check: Callable[[Tensor], None]) -> Tensor:
    """Images [n, C, H, W]: bytes, or what an array holds.

    inputs: one image or a list of them: a file, an image of Pillow's, an array [H, W], [C, H, W] or
    [H, W, C]; or an array [N, ...] of such. Files and images are turned, made grey or RGB and
    resized as the training images were; so are arrays of bytes. check: raises where the values
    of an array are on another scale than the model's.

    Raises:
        UserError: one is no image, or an array of another shape that holds no bytes.
    """
    if isinstance(inputs, Tensor):
        inputs = inputs.detach().cpu().numpy()
    if isinstance(inputs, np.ndarray):
        check(torch.tensor(inputs))  # a copy, as Pillow's arrays are not writable
        several = inputs.ndim == 4 or (inputs.ndim == 3 and _is_batch(inputs.shape, shape))
        inputs = list(inputs) if several else [inputs]
    elif not isinstance(inputs, Sequence) or isinstance(inputs, str):
        inputs = [inputs]
    else:  # each by itself: among bytes, one that was divided by 255 would not be seen
        for one in inputs:
            if isinstance(one, np.ndarray | Tensor):
                check(one if isinstance(one, Tensor) else torch.tensor(one))
    if not inputs:
        raise UserError("there is no image among the inputs")
    try:
        return torch.from_numpy(np.stack([_image(one, shape) for one in inputs]))
    except Unreadable as reason:
        raise UserError(f"an image cannot be read: {reason}") from None


def _is_batch(given: tuple[int, ...], shape: Shape) -> bool:
    """Whether three dimensions are [N, H, W] of grey images, and not one image."""
    return shape[0] == 1 and given[0] != 1 and given[2] not in LAST


def _image(one: Any, shape: Shape) -> NDArray[Any]:
    mode, size = MODES.get(shape[0]), (shape[2], shape[1])
    if isinstance(one, str | Path):
        return _file(Path(one), mode, size)
    if isinstance(one, Image.Image):
        if mode is None:
            raise UserError(f"the model takes arrays of {shape[0]} channels, no images of Pillow's")
        return decode(one, mode, size)
    if not isinstance(one, np.ndarray | Tensor):
        raise UserError(
            f"{type(one).__name__} is no image: must be a path, an image of Pillow's, an array, or "
            "a list of these"
        )
    array = one.detach().cpu().numpy() if isinstance(one, Tensor) else one
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape != shape and array.shape[2] in LAST:
        array = array.transpose(2, 0, 1)
    if array.shape == shape:
        return array
    if array.ndim != 3 or array.dtype != np.uint8 or mode is None or array.shape[0] not in LAST:
        raise UserError(
            f"an array {np.shape(one)} of {array.dtype}: the model takes {list(shape)}; images of "
            "another size are resized where they are files, Pillow's, or bytes (uint8)"
        )
    pixels = array.transpose(1, 2, 0)
    return decode(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), mode, size)


def _file(path: Path, mode: str | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    if not is_there(path, "file"):
        raise UserError(f"{path}: there is no such file")
    try:
        return read_pixels(path, read_header(path), mode or "RGB", size)
    except Unreadable as reason:
        raise UserError(f"{path}: {reason}") from None


def encoded_inputs(inputs: Any, encoding: Encoding) -> Tensor:
    """Features [n, F] of texts, images or rows, by the encoder that the model was trained behind.

    inputs: one text or several; images as of `images`; an array [n, D] of rows.

    Raises:
        UserError: they are something else, or the encoder cannot be loaded.
    """
    match encoding.shape:
        case ():
            given = [inputs] if isinstance(inputs, str) else list(inputs)
            if not given or not all(isinstance(text, str) for text in given):
                raise UserError("the model takes texts: a string, or a list of at least one")
        case (channels, height, width):
            given = images(inputs, (channels, height, width), _check_bytes).numpy()
        case _:
            given = np.atleast_2d(np.asarray(inputs, np.float32))
            if given.shape[1:] != encoding.shape:
                expected = ["n", *encoding.shape]
                raise UserError(f"an array {given.shape}: the model takes rows {expected}")
    return torch.from_numpy(encode(encoding, given))


def _check_bytes(x: Tensor) -> None:
    if x.dtype != torch.uint8:
        kind = str(x.dtype).removeprefix("torch.")
        raise UserError(f"images of {kind}: the model takes bytes from 0 to 255 (uint8)")


def _features(column: Column, texts: list[str]) -> NDArray[np.float32]:
    assert column.encoder is not None
    return encode(Encoding(column.encoder, ()), texts)


def rows(inputs: Any, conversion: Conversion | None, features: int) -> Tensor:
    """Rows of a table [n, D] as features.

    inputs: a DataFrame or a .csv, .tsv or .parquet file with the columns that the model was trained
    on, in any order, beside others; where all of these are numbers also an array [n, D] or [D].

    Raises:
        UserError: a column is missing, or a cell is not what its rule says.
    """
    if isinstance(inputs, str | Path):
        path = Path(inputs)
        if not is_there(path, "file"):
            raise UserError(f"{path}: there is no such file")
        origin, inputs = str(path), read_frame(path)
    else:
        origin = "the DataFrame"
    if hasattr(
        inputs, "columns"
    ):  # a DataFrame; not asked for by type, as pandas is slow to import
        if conversion is None:
            raise UserError(
                f"the model knows no names of columns: give its {features} features as an array"
            )
        table = inputs.reset_index(drop=True)  # rows are told by their place
        return torch.from_numpy(conversion(parse(conversion.columns, table, origin, _features)))
    if conversion is not None and conversion.changes:
        names = ", ".join(column.name for column in conversion.columns)
        raise UserError(
            f"{type(inputs).__name__}: the model takes a DataFrame, or a .csv or .parquet file, "
            f"with the columns {names}"
        )
    try:
        array = np.asarray(inputs, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"the inputs are no rows of numbers: {one_line(error)}") from None
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != features or not np.isfinite(array).all():
        raise UserError(
            f"an array {array.shape}: the model takes rows of {features} finite numbers"
        )
    return torch.from_numpy(array)
