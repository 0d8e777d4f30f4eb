"""A .csv or .parquet file becomes a checked data set."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipelines.data.loading import load_dataset
from pipelines.data.survey import summary, survey
from pipelines.errors import UserError
from pipelines.study.protocol import Data, Protocol, protocol_hash
from tests.support.data_files import assert_refused


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_gives_float32_columns_and_the_classes_of_its_target(suffix, tmp_path):
    path = tmp_path / f"table.{suffix}"
    columns = {"age": [1, 2, 3], "kind": ["yes", "no", "yes"], "height": [0.5, 1.5, -1.0]}
    if suffix == "csv":
        lines = zip(*columns.values(), strict=True)
        path.write_text("age,kind,height\n" + "".join(f"{a},{k},{h}\n" for a, k, h in lines))
    else:
        pa.parquet.write_table(pa.table(columns), path)
    dataset = load_dataset(Data(source="table", path=path, target="kind"))
    assert dataset.x.tolist() == [[1, 0.5], [2, 1.5], [3, -1]]
    assert dataset.x.dtype == np.float32
    assert dataset.classes == ["no", "yes"]
    assert dataset.observed.tolist() == [1, 0, 1]
    assert dataset.names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(["1", "001", "2"], ["001", "1", "2"]), (["1", " 1", "2"], ["1", "2"])],
)
def test_labels_that_are_written_as_different_numbers_are_different(labels, classes, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,label\n" + "".join(f"0.5,{label}\n" for label in labels))
    assert load_dataset(Data(source="table", path=path, target="label")).classes == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "data.target = 'label': .* has the columns a, b"),
        ("a,label\nx,0\ny,1\n", "column 'a' is string: features must be numbers"),
        ("a,label\n1,0\n,1\n", "column 'a' has 1 empty cells"),
        ("a,label\n1,red\n2,\n3, \n4,blue\n", "column 'label' has 2 empty cells"),
        ("label\n1\n0\n", "no column beside the target"),
        ("a,a,label\n1,2,0\n1,2,1\n", "share a name"),
        ("a,label\n1,2,3\n", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    assert_refused(Data(source="table", path=tmp_path / "t.csv"), message)


# ---- columns that are no features, and labels that are none


def save(columns: dict, path: Path) -> Data:
    pa.parquet.write_table(pa.table(columns), path)
    return Data(source="table", path=path)


FEATURES = {"a": [0.5, 1.5, 2.5, 0.0]}


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (pa.array([{"k": 1}, {"k": 2}] * 2), "struct<k: int64>"),
        (pa.array([[1], [2]] * 2), "list<"),
        (pa.array([b"x", b"y"] * 2), "binary"),
        (pa.array([0, 1] * 2, pa.date32()), "date32"),
        (pa.array([None] * 4), "null"),
    ],
)
def test_a_target_that_is_neither_text_nor_number_is_refused(labels, kind, tmp_path):
    data = save(FEATURES | {"label": labels}, tmp_path / "t.parquet")
    assert_refused(data, f"data.target = 'label': this column of .* is {kind}.*: labels are text")


@pytest.mark.parametrize("values", [["no", "yes"], [3, 5]])
def test_categories_of_pandas_are_labels_by_their_values(values, tmp_path):
    labels = pa.array(values * 2).dictionary_encode()
    dataset = load_dataset(save(FEATURES | {"label": labels}, tmp_path / "t.parquet"))
    assert dataset.classes == [str(value) for value in values]
    assert dataset.observed.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("values", [["no", ""], ["no", None]])
def test_an_empty_category_is_refused(values, tmp_path):
    labels = pa.array(values * 2).dictionary_encode()
    data = save(FEATURES | {"label": labels}, tmp_path / "t.parquet")
    assert_refused(data, "column 'label' has 2 empty cells")


def frame(n: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "label": range(n)}) % 3


def write_csv(path: Path) -> None:
    frame().to_csv(path)


def write_filtered_csv(path: Path) -> None:
    frame()[lambda rows: rows.a > 1].to_csv(path)


def write_csv_twice(path: Path) -> None:
    frame().to_csv(path)
    pd.read_csv(path).to_csv(path, index=False)


def write_shuffled_parquet(path: Path) -> None:
    frame().sample(frac=1, random_state=0).to_parquet(path)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_csv, "i.csv"),
        (write_filtered_csv, "i.csv"),
        (write_csv_twice, "i.csv"),
        (write_shuffled_parquet, "i.parquet"),
    ],
)
def test_an_index_that_pandas_saved_is_a_feature_only_if_the_study_says_so(write, name, tmp_path):
    path = tmp_path / name
    write(path)
    data = Data(source="table", path=path)
    with pytest.raises(UserError, match=r"column '.*' is an index .* `drop: \[\]` keeps it") as no:
        load_dataset(data)
    index = str(no.value).split("'")[1]
    dropped = load_dataset(data.model_copy(update={"drop": (index,)}))
    kept = load_dataset(data.model_copy(update={"drop": ()}))
    assert (dropped.x.shape[1], kept.x.shape[1]) == (2, 3)


def test_new_leaves_out_columns_that_number_the_rows(tmp_path):
    rows = frame(40).assign(customer=np.random.default_rng(1).permutation(40) + 1000)
    rows.assign(label=rows.label.astype(int)).to_csv(tmp_path / "t.csv")
    seen = survey(tmp_path / "t.csv")
    assert seen.data.drop == ("", "customer")
    shown = dict(summary(seen))
    assert shown["features"] == "a, b"
    assert shown["left out"] == "'', 'customer': numbers the rows"


def test_how_columns_were_left_out_is_told_by_the_content_and_not_by_the_protocol(tmp_path):
    """A study from before `drop` goes on with its key, once it says `drop: []`."""
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n1,0,x\n2,5,y\n")
    plain = Protocol(data=Data(source="table", path=path))
    explicit = Protocol(data=Data(source="table", path=path, drop=()))
    assert protocol_hash(plain, "same content") == protocol_hash(explicit, "same content")
    without = load_dataset(Data(source="table", path=path, drop=("b",)))
    assert without.fingerprint != load_dataset(plain.data).fingerprint


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (("c",), "data.drop: 'c' is no feature of .*; it has a, b"),
        (("label",), "data.drop: 'label' is no feature"),
        (("a", "b"), "no column beside the target"),
    ],
)
def test_columns_that_cannot_be_dropped_are_refused(drop, message, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n1,0,x\n2,5,y\n")
    assert_refused(Data(source="table", path=tmp_path / "t.csv", drop=drop), message)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_with_flipped_bits_is_read_or_refused(suffix, tmp_path):
    path, rng = tmp_path / f"t.{suffix}", random.Random(0)
    table = frame().assign(label=["x", "y", "z"] * 10)
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    content, refused = path.read_bytes(), 0
    for _ in range(150):
        flipped = bytearray(content)
        for _ in range(rng.choice([1, 5])):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped[: rng.choice([len(flipped), rng.randrange(len(flipped))])])
        try:
            load_dataset(Data(source="table", path=path))
        except UserError as refusal:
            refused += 1
            assert "\n" not in str(refusal)
    assert refused > 50
