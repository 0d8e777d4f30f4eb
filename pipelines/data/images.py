"""Image files: what they say of themselves, and their pixels.

A user's folder may hold anything under an image's name: what cannot be used is never an exception
of Pillow's, and its warnings are not shown, since decoding tells of all damage that matters.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from pipelines.data.png import check_png
from pipelines.errors import one_line

#: Of what Pillow reads, the formats that it decodes by itself: for EPS it would start Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "MPO", "JPEG2000", "AVIF", "DIB")
#: Of files that are taken for images; as torchvision has them, which takes seconds to import.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TURNED = range(2, 9)  # EXIF orientations of images that are not stored as they are looked at
ON_THE_SIDE = range(5, 9)
BLOCK = 4096  # images that wait for a thread at a time
SHARE = 16  # of them that a thread is given: to hand one over costs nearly what its header does

# Renderers write long prompts into PNG files; Pillow refuses more than a mebibyte of text.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY

_STANDARD_ERROR = Lock()  # two threads that take it from each other would lose it

T = TypeVar("T")
R = TypeVar("R")


class Unreadable(Exception):
    """An image that cannot be used, and why."""


class Header(NamedTuple):
    """What a file says of its image: (width, height) as it is looked at, and Pillow's mode.

    turned: whether the file stores it otherwise than it is looked at, by its EXIF orientation.
    """

    size: tuple[int, int]
    mode: str
    turned: bool


def read_header(path: Path) -> Header:
    """The header of an image file.

    Raises:
        Unreadable: it is none.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
            raise Unreadable("no regular file")
        with Image.open(path, formats=_formats()) as image:
            _check_depth(image)
            orientation, (width, height) = _orientation(image), image.size
            size = (height, width) if orientation in ON_THE_SIDE else (width, height)
            return Header(size, image.mode, orientation in TURNED)
    except Exception as error:
        raise _unreadable(error) from None


def read_pixels(path: Path, header: Header, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels of an image [C, H, W], upright, in Pillow's mode L or RGB.

    path, header: of the image. size: (width, height) that it is resized to.

    Raises:
        Unreadable: it cannot be decoded.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            if image.format == "PNG":
                check_png(path)
            return _pixels(image, header.turned, mode, size)
    except Exception as error:
        raise _unreadable(error) from None


def decode(image: Image.Image, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The same of an image that Pillow has opened.

    Raises:
        Unreadable: it cannot be decoded, or has more than 8 bits per channel.
    """
    try:
        _check_depth(image)
        return _pixels(image, _orientation(image) in TURNED, mode, size)
    except Exception as error:
        raise _unreadable(error) from None


def _pixels(
    image: Image.Image, turned: bool, mode: str, size: tuple[int, int]
) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image) if turned else image
    resized = upright.convert(mode).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(size[1], size[0], -1).transpose(2, 0, 1)


def _check_depth(image: Image.Image) -> None:
    if image.mode[0] in "IF":
        raise Unreadable(f"mode {image.mode}, where 8 bits per channel are needed")


@cache
def _formats() -> list[str]:
    Image.init()  # or Pillow knows its commonest formats only
    return [name for name in FORMATS if name in Image.OPEN]


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation of an open image; 1 if it has none that can be read."""
    if image.format == "TIFF":  # turned by Pillow itself
        return 1
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1  # getexif would decode the image to look for one behind its pixels
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _unreadable(error: Exception) -> Unreadable:
    if isinstance(error, Unreadable):
        return error
    if isinstance(error, UnidentifiedImageError):
        return Unreadable("no image in a known format")
    return Unreadable(getattr(error, "strerror", None) or one_line(error))


def for_each(
    items: Sequence[T], function: Callable[[T], R], progress: str = ""
) -> list[R | Unreadable]:
    """What a function gives for each item, or why an image is unreadable; in threads.

    progress: what a bar on a terminal says; none by default.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")

    def attempt(item: T) -> R | Unreadable:
        try:
            return function(item)
        except Unreadable as reason:
            return reason

    with _libraries_are_silent() as stderr, ThreadPoolExecutor(os.cpu_count()) as threads:
        console = Console(file=stderr)
        results = track(
            _in_blocks(threads, attempt, items),
            progress,
            len(items),
            console=console,
            transient=True,  # an error is the only line that stays
            disable=not progress or not console.is_terminal,
        )
        return list(results)


def _in_blocks(
    threads: ThreadPoolExecutor, function: Callable[[T], R], items: Sequence[T]
) -> Iterator[R]:
    """As `threads.map`, which would hold a future for each of a million items at once."""
    for start in range(0, len(items), BLOCK):
        block = items[start : start + BLOCK]
        shares = [block[i : i + SHARE] for i in range(0, len(block), SHARE)]
        yield from chain.from_iterable(threads.map(lambda share: [*map(function, share)], shares))


@contextmanager
def _libraries_are_silent() -> Iterator[TextIO]:
    """Give standard error to the block alone: libtiff writes there of damage, past Python."""
    with _STANDARD_ERROR, open(os.devnull, "w") as nowhere, os.fdopen(os.dup(2), "w") as stderr:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield stderr
        finally:
            os.dup2(stderr.fileno(), 2)
