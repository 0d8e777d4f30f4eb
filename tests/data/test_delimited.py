"""Text files of cells, as spreadsheets and people write them."""

import gzip

import pytest

from pipelines.data.loading import load_dataset
from pipelines.data.survey import survey
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused

CELLS = [("größe", "note", "label"), ("1.5", "x; y", "süß"), ("2.25", "a\tb", "bitter")]


def write(path, delimiter=",", encoding="utf-8", decimal="."):
    lines = ["\n".join([delimiter.join(f'"{cell}"' for cell in CELLS[0])])]
    for number, note, label in CELLS[1:]:
        cells = number.replace(".", decimal), f'"{note}"', label
        lines.append(delimiter.join(cells))
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def read(path, encoding=None):
    rules = {"größe": "number", "note": "drop"}
    return load_dataset(Data(source="table", path=path, columns=rules, encoding=encoding))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_delimiter_and_byte_order_mark_are_seen(delimiter, encoding, tmp_path):
    dataset = read(write(tmp_path / "t.csv", delimiter, encoding))
    assert dataset.x.tolist() == [[1.5], [2.25]] and dataset.classes == ["bitter", "süß"]


def test_a_decimal_comma_beside_semicolons_is_one(tmp_path):
    assert read(write(tmp_path / "t.csv", ";", decimal=",")).x.tolist() == [[1.5], [2.25]]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_another_encoding_is_read_where_it_is_named(encoding, tmp_path):
    path = write(tmp_path / "t.csv", encoding=encoding)
    assert read(path, encoding).classes == ["bitter", "süß"]
    assert read(path, encoding).fingerprint == read(write(tmp_path / "u.csv")).fingerprint


def test_bytes_that_are_no_text_are_refused_with_the_way_out(tmp_path):
    path = write(tmp_path / "t.csv", encoding="latin-1")
    message = r"t.csv: line 1 is no utf-8 \(byte 0xf6\): `encoding: latin-1` under data \(new --enc"
    assert_refused(Data(source="table", path=path), message)
    with pytest.raises(UserError, match=message):
        survey(path)
    assert survey_of_ten(tmp_path, "latin-1").data.encoding == "latin-1"


def survey_of_ten(folder, encoding):
    path = folder / "ten.csv"
    path.write_text("a,label\n" + "1.5,süß\n2.5,süß\n0.5,bitter\n" * 10, encoding=encoding)
    return survey(path, encoding=encoding)


def test_an_encoding_that_nobody_knows_is_refused(tmp_path):
    write(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"data.encoding = 'klingon': is no encoding"):
        survey(tmp_path / "t.csv", encoding="klingon")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_compressed_file_is_read_as_what_it_holds(encoding, tmp_path):
    plain = write(tmp_path / "t.csv", ";", encoding, ",")
    packed = tmp_path / "packed.CSV.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    stated = encoding if encoding == "latin-1" else None
    assert read(packed, stated).x.tolist() == [[1.5], [2.25]]
    assert read(packed, stated).fingerprint == read(plain, stated).fingerprint


def test_compressed_json_lines_and_labels_are_read_and_a_torn_file_is_refused(tmp_path):
    rows = "".join(f'{{"a": {n}, "label": "{"xy"[n % 2]}"}}\n' for n in range(4000))
    path, labels = tmp_path / "t.jsonl.gz", tmp_path / "crowd.csv.gz"
    path.write_bytes(gzip.compress(rows.encode()))
    labels.write_bytes(gzip.compress(b"path,label\n1,x\n"))
    data = Data(source="table", path=path, labels=LabelsFile(file=labels))
    assert load_dataset(data).observed.tolist()[:3] == [0, 0, 0]
    content = path.read_bytes()
    for torn in (content[: len(content) // 2], b"no gzip", content[:-8] + b"\0" * 8, b""):
        path.write_bytes(torn)
        assert_refused(data, r"t.jsonl.gz: cannot be read")
    path.write_bytes(content)
    labels.write_bytes(labels.read_bytes()[:-12])
    assert_refused(data, r"crowd.csv.gz: cannot be read")
    torn = tmp_path / "t.csv.gz"
    torn.write_bytes(gzip.compress(b"a,label\n1,x\n2,y\n")[:-9])
    assert_refused(Data(source="table", path=torn), "t.csv.gz: cannot be read")


def test_a_type_is_that_of_all_rows_of_a_compressed_file(tmp_path):
    lines = ["1,x", "2,y"] * 150_000 + ["2.5,x"]
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["a,label", *lines]).encode(), 1))
    assert load_dataset(Data(source="table", path=path)).x[-1] == 2.5


def test_a_cell_may_have_several_lines(tmp_path):
    (tmp_path / "t.csv").write_text('a,note,label\n1,"one\ntwo",x\n2,three,y\n')
    rules = {"a": "number", "note": "drop"}
    assert len(load_dataset(Data(source="table", path=tmp_path / "t.csv", columns=rules)).x) == 2


def test_a_type_is_that_of_all_rows_and_not_of_the_first_megabyte(tmp_path):
    lines = ["1,x", "2,y"] * 150_000 + ["2.5,x"]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *lines]))
    assert load_dataset(Data(source="table", path=tmp_path / "t.csv")).x[-1] == 2.5


def test_a_label_with_a_nul_is_refused_and_not_cut(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,label\n" + b"1.5,ant\n2.5,bee\n" * 10 + b"0.5,bee\0\n")
    assert_refused(Data(source="table", path=path, target="label"), r"class 'bee\\x00': is no Uni")
