"""What Pillow does not look at as it decodes a PNG: its checksums, and how many pixels it has."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
#: First column, first row, and the steps between them, of Adam7's passes.
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def check_png(path: Path) -> None:
    """Compare a PNG's checksums with its chunks, and its pixels with its header.

    Of missing rows Pillow makes black ones; it drops those that are too many.

    Raises:
        Exception: one does not match.
    """
    with Image.open(path, formats=("PNG",)) as image:
        image.verify()
    chunks = _chunks(path.read_bytes())
    header = next(content for name, content in chunks if name == b"IHDR")
    expected = _bytes_of(header)
    stream = zlib.decompressobj()
    pixels = b"".join(content for name, content in chunks if name == b"IDAT")
    found = len(stream.decompress(pixels, expected + 1))
    if found != expected:
        raise ValueError(f"{'fewer' if found < expected else 'more'} pixels than its header says")


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each, of a file whose checksums are right."""
    found, at = [], 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        found.append((name, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _bytes_of(header: bytes) -> int:
    """Of all rows, each with one for its filter."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * CHANNELS[colour]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
