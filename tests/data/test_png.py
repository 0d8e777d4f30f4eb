"""A PNG whose checksums are right, and whose header is not what its pixels are."""

import io
import struct
import zlib

import pytest
from PIL import Image

from pipelines.data.images import Unreadable, read_header, read_pixels
from pipelines.data.png import CHANNELS, check_png

#: In which pass of Adam7 a pixel is, by its place modulo 8: the table of the specification.
PASSES = (
    (1, 6, 4, 6, 2, 6, 4, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (5, 6, 5, 6, 5, 6, 5, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (3, 6, 4, 6, 3, 6, 4, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (5, 6, 5, 6, 5, 6, 5, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
)


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width, height, depth=8, colour=2, interlaced=0, rows=None):
    """A black image, of rows that are given or those that its header says."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    bits = depth * CHANNELS[colour]
    if rows is None:
        rows = plain(width, height, bits) if not interlaced else adam7(width, height, bits)
    palette = [chunk(b"PLTE", bytes(3 * 2 ** min(depth, 8)))] if colour == 3 else []
    parts = [chunk(b"IHDR", header), *palette, chunk(b"IDAT", zlib.compress(bytes(rows)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def plain(width, height, bits):
    return height * (1 + (width * bits + 7) // 8)


def adam7(width, height, bits):
    """Pixel by pixel."""
    total = 0
    for number in range(1, 8):
        for y in range(height):
            pixels = sum(PASSES[y % 8][x % 8] == number for x in range(width))
            total += (1 + (pixels * bits + 7) // 8) if pixels else 0
    return total


MODES = [(8, 2), (8, 0), (1, 0), (4, 3), (2, 3), (8, 6), (16, 2), (8, 4), (16, 6)]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (9, 17)])
@pytest.mark.parametrize(("depth", "colour"), MODES)
@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_whole_image_is_whole(size, depth, colour, interlaced, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(*size, depth, colour, interlaced))
    check_png(file)
    if depth != 16:
        assert not read_pixels(file, read_header(file), "RGB", size).any()


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(("change", "problem"), [(-1, "fewer"), (1, "more"), (-40, "fewer")])
def test_pixels_that_are_not_as_many_as_the_header_says_make_it_unreadable(
    interlaced, change, problem, tmp_path
):
    """Pillow decodes the first two of these without a word."""
    file = tmp_path / "a.png"
    said = adam7(8, 8, 24) if interlaced else plain(8, 8, 24)
    file.write_bytes(png(8, 8, 8, 2, interlaced, said + change))
    with pytest.raises(Unreadable, match=f"{problem} pixels than its header says|truncated"):
        read_pixels(file, read_header(file), "RGB", (8, 8))


def test_a_header_that_promises_more_rows_than_there_are_is_found(tmp_path):
    stream, file = io.BytesIO(), tmp_path / "a.png"
    Image.new("RGB", (16, 16), (9, 9, 9)).save(stream, "png")
    data = bytearray(stream.getvalue())
    data[20:24] = struct.pack(">I", 160)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    file.write_bytes(data)
    with pytest.raises(Unreadable, match="fewer pixels than its header says"):
        read_pixels(file, read_header(file), "RGB", (16, 16))
