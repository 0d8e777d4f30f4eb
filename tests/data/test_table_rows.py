"""What columns say of a table's rows: which part of the data they are of, and their names."""

import numpy as np
import pandas as pd
import pytest

from pipelines.data.loading import load_dataset
from pipelines.data.splits import split_rows
from pipelines.data.survey import summary, survey
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data, Protocol, Splits, protocol_hash
from tests.support.data_files import assert_refused, write_labels

SPELLINGS = ["train", "Test", " TRAINING ", "test", "val", "train"]


def rows_of(folder, parts, name="t.csv", **columns) -> Data:
    """A table of numbers 0, 1, ... with the classes x and y in turn, and the part of each row."""
    n = len(parts)
    frame = pd.DataFrame({"a": np.arange(n) / 2, "part": parts, "label": [*"xy"] * (n // 2)})
    frame.assign(**columns).to_csv(folder / name, index=False)
    return Data(source="table", path=folder / name, split="part")


# ---- the part of the data


def test_rows_of_test_are_the_sources_own_test_set_and_those_of_val_are_left_out(tmp_path):
    dataset = load_dataset(rows_of(tmp_path, SPELLINGS))
    assert dataset.x[:, 0].tolist() == [0, 0.5, 1, 1.5, 2.5]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False, True, False, True, False]
    assert [dataset.classes[k] for k in dataset.observed] == ["x", "y", "x", "y", "y"]
    assert dataset.names == ["0", "1", "2", "3", "5"]  # rows of the file


def test_they_are_never_trained_on(tmp_path):
    parts = ["train"] * 40 + ["test"] * 10
    dataset = load_dataset(rows_of(tmp_path, parts))
    rows = split_rows(dataset, Splits(meta=4, val=4), seed=0, data_seed=1)
    assert rows["test"].tolist() == [*range(40, 50)] and rows["train"].max() < 40


def test_a_labels_file_calls_the_rows_by_their_place_in_the_file(tmp_path):
    data = rows_of(tmp_path, SPELLINGS)
    labels = write_labels(tmp_path / "labels.csv", [["5", "x"], ["4", "y"]])  # 4 is of val
    dataset = load_dataset(data.model_copy(update={"labels": labels}))
    assert [dataset.classes[k] for k in dataset.observed] == ["x", "y", "x", "y", "x"]
    other = write_labels(tmp_path / "other.csv", [["6", "y"]])
    assert_refused(data.model_copy(update={"labels": other}), "'6' names no example")
    again = load_dataset(data.model_copy(update={"labels": labels}))  # from the cache
    assert again.set_aside == ("4",) and again.fingerprint == dataset.fingerprint


def test_a_table_of_columns_and_one_of_texts_have_it_too(tmp_path):
    texts = [f"text number {n}" for n in range(6)]
    data = rows_of(tmp_path, SPELLINGS, text=texts)
    rules = {"a": "impute", "text": "drop"}
    described = load_dataset(data.model_copy(update={"columns": rules}))
    assert described.x.shape == (5, 1) and described.in_own_test.tolist()[:2] == [False, True]
    of_texts = load_dataset(data.model_copy(update={"source": "text", "encoder": "words"}))
    assert of_texts.x.shape == (5, 1024) and of_texts.names == ["0", "1", "2", "3", "5"]
    assert of_texts.in_own_test.tolist() == described.in_own_test.tolist()


@pytest.mark.parametrize(
    ("parts", "changes", "message"),
    [
        (
            ["train", "test", "3", "test"],
            {},
            "split = 'part': row 2 of .* is '3': allowed are trai",
        ),
        (["train", "test", "", "test"], {}, "data.split = 'part': row 2 of .* is empty: allowed"),
        (
            ["train", "train"],
            {},
            "data.split = 'part': no row of .* is of test; without data.split",
        ),
        (["test", "dev"], {}, "data.split = 'part': no row of .* is of train"),
        (["train", "test"], {"split": "fold"}, "data.split = 'fold': .* has the columns a, part"),
        (["train", "test"], {"split": "label"}, "data.split = 'label': is the label's column, too"),
    ],
)
def test_cells_that_say_something_else_are_refused_by_name(parts, changes, message, tmp_path):
    assert_refused(rows_of(tmp_path, parts).model_copy(update=changes), message)


def test_a_row_of_the_file_is_named_where_others_are_left_out(tmp_path):
    data = rows_of(tmp_path, SPELLINGS, b=[1, 2, 3, 4, 5, "odd"])
    rules = {"a": "number", "b": "number"}
    assert_refused(data.model_copy(update={"columns": rules}), "row 5, column 'b' is 'odd'")


def test_which_column_said_so_is_told_by_the_content_and_not_by_the_protocol(tmp_path):
    plain = Protocol(data=rows_of(tmp_path, SPELLINGS).model_copy(update={"split": None}))
    split = Protocol(data=rows_of(tmp_path, SPELLINGS))
    assert protocol_hash(plain, "same") == protocol_hash(split, "same")
    parts = (["train", "test", "train", "test"], ["test", "train", "train", "test"])
    one, other = (load_dataset(rows_of(tmp_path, p, f"{p[0]}.csv")) for p in parts)
    assert (one.x == other.x).all() and one.fingerprint != other.fingerprint


# ---- names


def named(folder, ids, **options) -> Data:
    """A table whose rows have names, as they are written in it."""
    lines = [f"{name},{row / 2},{'xy'[row % 2]}" for row, name in enumerate(ids)]
    (folder / "t.csv").write_text("\n".join(["customer_id,a,label", *lines]))
    return Data(source="table", path=folder / "t.csv", names="customer_id", **options)


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["C03", "C01", " C02 ", "C04"], ["C03", "C01", "C02", "C04"]),
        (["007", "7", "1", "2"], ["007", "7", "1", "2"]),
        (["3", "2", "1", "0"], ["3", "2", "1", "0"]),
    ],
)
def test_a_column_names_the_rows_and_is_no_feature(ids, names, tmp_path):
    dataset = load_dataset(named(tmp_path, ids))
    assert dataset.names == names and dataset.x.shape == (4, 1)


def test_labels_go_to_the_rows_of_these_names(tmp_path):
    labels = write_labels(tmp_path / "crowd.csv", [["0", "x"], ["3", "y"]])
    dataset = load_dataset(named(tmp_path, ["3", "2", "1", "0"], labels=labels))
    assert [dataset.classes[k] for k in dataset.observed] == ["y", "y", "x", "x"]


def test_a_name_need_not_be_a_path(tmp_path):
    labels = write_labels(tmp_path / "crowd.csv", [["a//b", "y"]])
    dataset = load_dataset(named(tmp_path, ["a//b", "a/./b", "c", "d"], labels=labels))
    assert dataset.observed.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("ids", "changes", "message"),
    [
        (["C1", "C2", "", "C4"], {}, "data.names = 'customer_id': row 2 of .* is empty"),
        (["C1", "C2", "C1", "C4"], {}, "'customer_id': rows 0 and 2 of .* are both 'C1'; each"),
        (["C1", "C2"], {"names": "id"}, "data.names = 'id': .* has the columns customer_id, a, la"),
        (["C1", "C2"], {"names": "label"}, "data.names = 'label': is the label's column, too"),
    ],
)
def test_names_that_do_not_tell_the_rows_apart_are_refused(ids, changes, message, tmp_path):
    assert_refused(named(tmp_path, ids).model_copy(update=changes), message)


def test_a_study_that_dropped_the_column_may_go_on_doing_so(tmp_path):
    ids = ["C1", "C2", "C3", "C4"]
    plain = load_dataset(named(tmp_path, ids))
    dropped = load_dataset(named(tmp_path, ids, drop=("customer_id",)))
    rules = {"customer_id": "drop", "a": "impute"}
    described = load_dataset(named(tmp_path, ids, columns=rules))
    assert plain.names == dropped.names == described.names == ids
    assert plain.fingerprint == dropped.fingerprint
    used = named(tmp_path, ids, columns=rules | {"customer_id": "one_hot"})
    assert_refused(used, "data.columns: 'customer_id' is no feature")


# ---- what `new` sees


def seen(folder, **columns):
    frame = pd.DataFrame({"a": np.arange(60) / 2, "label": [*"xy"] * 30}).assign(**columns)
    frame.to_csv(folder / "t.csv", index=False)
    return survey(folder / "t.csv")


def test_new_takes_a_column_of_parts_for_the_split_and_says_so(tmp_path):
    look = seen(tmp_path, fold=["train"] * 40 + ["dev"] * 5 + ["test"] * 15)
    assert look.data.split == "fold" and look.dataset.in_own_test.sum() == 15
    said = "column 'fold': 40 train, 15 test; 5 val are left out, as a folder's val/ is"
    assert dict(summary(look))["split"] == said


def test_without_rows_for_testing_new_leaves_the_column_out(tmp_path):
    look = seen(tmp_path, fold=["train"] * 50 + ["val"] * 10, kind=["p", "q"] * 30)
    assert look.data.split is None and look.data.columns is not None
    assert look.data.columns["fold"] == "drop" and look.dataset.test is None
    assert look.look.reasons["fold"] == "says which part of the data a row is of: train, val"


def test_a_column_of_parts_is_never_taken_for_the_label(tmp_path):
    frame = pd.DataFrame({"a": np.arange(40) / 2, "churned": ["yes", "no"] * 20})
    frame["part"] = ["train", "train", "test", "train"] * 10
    frame.to_csv(tmp_path / "t.csv", index=False)
    look = survey(tmp_path / "t.csv")
    assert (look.data.target, look.data.split) == ("churned", "part")


@pytest.mark.parametrize(
    ("name", "cells", "is_one"),
    [
        ("is_test", [0, 1], True),
        ("in train", ["no", "yes"], True),
        ("isHoldout", [True, False], True),
        ("is_test", ["yes", None], True),
        ("is_test", [0, 7], False),
        ("tested", [0, 1], False),
        ("is_valid", [0, 1], False),
    ],
)
def test_new_makes_no_feature_of_whether_a_row_is_for_testing(name, cells, is_one, tmp_path):
    look = seen(tmp_path, **{name: cells * 30})
    kept = [column.name for column in look.dataset.columns]
    assert kept == (["a"] if is_one else ["a", name])


def test_a_flag_of_rows_for_testing_is_dropped_beside_columns_of_any_kind_and_never_the_label(
    tmp_path,
):
    frame = pd.DataFrame(
        {"a": [*"pqr"] * 20, "churned": ["yes", "no"] * 30, "is_test": [0, 1] * 30}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    look = survey(tmp_path / "t.csv")
    assert (look.data.target, look.data.columns) == ("churned", {"a": "one_hot", "is_test": "drop"})
    assert look.look.reasons["is_test"] == "says which part of the data a row is of: 0, 1"


def crowd(folder, column, values) -> None:
    frame = pd.DataFrame({column: values, "answer": [*"xyyx"] * (len(values) // 4)})
    frame.to_csv(folder / "crowd.csv", index=False)


@pytest.mark.parametrize(
    ("ids", "column", "values", "names"),
    [
        ([f"C{n:03}" for n in range(60)], "customer_id", [f"C{n:03}" for n in range(20)], "id"),
        ([f"C{n:03}" for n in range(60)], "who", [f"C{n:03}" for n in range(20)], "id"),
        ([*range(60, 0, -1)], "id", [*range(1, 21)], "id"),  # which may be row numbers, too
        ([*range(60, 0, -1)], "row", [*range(1, 21)], None),
        ([f"C{n:03}" for n in range(60)], "row", [*range(20)], None),
        ([7 * n + 1000 for n in range(60)], "who", [7 * n + 1000 for n in range(20)], "id"),
    ],
)
def test_new_takes_a_column_for_names_where_the_labels_file_has_them(
    ids, column, values, names, tmp_path
):
    seen(tmp_path, id=ids, plan=["p", "q"] * 30)
    crowd(tmp_path, column, values)
    look = survey(tmp_path / "t.csv", tmp_path / "crowd.csv", label_column="answer")
    assert look.data.names == names
    assert look.data.labels == LabelsFile(file=tmp_path / "crowd.csv", path=column, label="answer")
    if names:
        assert dict(summary(look))["names"] == f"column 'id', as crowd.csv has it in {column!r}"
        assert look.data.columns is not None and "id" not in look.data.columns
        assert look.dataset.names == [*map(str, ids)]


def test_a_misspelt_name_is_told_and_not_taken_for_a_row(tmp_path):
    seen(tmp_path, id=[f"C{n:03}" for n in range(60)])
    crowd(tmp_path, "id", ["C001", "C002", "C003", "D004"])
    with pytest.raises(Exception, match=r"'D004' names no example; names are like 'C000'"):
        survey(tmp_path / "t.csv", tmp_path / "crowd.csv", label_column="answer")


def test_trusted_examples_are_named_likewise(tmp_path):
    ids = [f"C{n:03}" for n in range(60)]
    seen(tmp_path, id=ids)
    frame = pd.DataFrame({"path": ids[:24], "label": [*"xy"] * 12})
    frame.to_csv(tmp_path / "verified.csv", index=False)
    look = survey(tmp_path / "t.csv", trusted=tmp_path / "verified.csv")
    assert look.data.names == "id" and look.trusted == 24
