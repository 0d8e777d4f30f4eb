"""Text files of cells: which encoding, which character between cells, which one in decimals."""

from __future__ import annotations

import codecs
import gzip
import io
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from pipelines.errors import UserError

BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16's, so it is asked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t|"
COMPRESSED = ".gz"
LARGEST = 2**30  # bytes of a file whose types are inferred from all of it


def opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """A file's bytes, decompressed where its name ends in .gz."""
    return gzip.open(path) if path.suffix.lower() == COMPRESSED else path.open("rb")


def encoding_of(path: Path, stated: str | None = None) -> str:
    """What a file's first bytes say, else what a person has stated, else UTF-8."""
    with opened(path) as file:
        head = file.read(4)
    marked = next((name for bom, name in BOMS.items() if head.startswith(bom)), None)
    return marked or stated or "utf-8"


def check_text(path: Path, encoding: str) -> None:
    """Is all of a file text of that encoding?

    Raises:
        UserError: it is not; which encoding it may be is told.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    with opened(path) as file:
        while block := file.read(2**20):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line = lines + error.object[: error.start].count(b"\n")
                raise UserError(
                    f"{path}: line {line} is no {encoding} (byte 0x{error.object[error.start]:02x}"
                    "): `encoding: latin-1` under data (new --encoding latin-1), or whatever it is"
                ) from None
            lines += block.count(b"\n")


def delimiter_of(path: Path, encoding: str) -> str:
    """The character between cells: a comma where the first line has one."""
    with opened(path) as stream, io.TextIOWrapper(stream, encoding, "replace", "") as file:
        first = file.readline()
    outside = "".join(first.split('"')[::2])  # of what is quoted
    present = [d for d in DELIMITERS if d in outside]
    if "," in present or not present:
        return ","
    return max(present, key=outside.count)


def read_table(path: Path, encoding: str | None = None) -> pa.Table:
    """The columns of a delimited file, with the types that all of their cells have.

    encoding: what a person says it is.

    Raises:
        UserError: its bytes are no text.
        pa.ArrowException: its lines are no table.
    """
    name = encoding_of(path, encoding)
    delimiter = delimiter_of(path, name)
    table = _read(path, name, delimiter, ".")
    if delimiter == ",":
        return table
    other = _read(path, name, delimiter, ",")  # as where a comma stands in decimals
    return max((table, other), key=_numbers)


def as_text(path: Path, column: str, encoding: str | None = None) -> pa.ChunkedArray:
    """A column of a delimited file as it is written."""
    name = encoding_of(path, encoding)
    return _read(path, name, delimiter_of(path, name), ".", column)[column]


def _read(
    path: Path, encoding: str, delimiter: str, decimal_point: str, only: str | None = None
) -> pa.Table:
    convert = csv.ConvertOptions(decimal_point=decimal_point)
    if only is not None:
        convert.include_columns, convert.column_types = [only], {only: pa.string()}
    with opened(path) as file:
        content = file.read()
    block = min(max(len(content), 2**20), LARGEST)
    return csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(
            encoding="utf-8" if encoding == "utf-8-sig" else encoding, block_size=block
        ),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert,
    )


def _numbers(table: pa.Table) -> int:
    return sum(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in table.schema.types
    )
