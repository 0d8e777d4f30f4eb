"""Cells become features by what the training split teaches, and by nothing else."""

import io
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from pipelines.data.columns import Column
from pipelines.data.conversion import MOST_VALUES, Conversion
from pipelines.data.loading import load_dataset
from pipelines.data.task import prepare
from pipelines.study.protocol import Data, Protocol

NAN = math.nan
COLUMNS = [Column("n"), Column("i", "impute"), Column("c", "one_hot", ("x", "y", "z"))]


def rows(*values) -> np.ndarray:
    return np.array(values, np.float32)


def test_numbers_stay_empty_cells_get_the_median_and_a_flag_categories_a_feature_each():
    train = rows([1, 5, 0], [2, NAN, 1], [3, 7, 0])
    convert = Conversion.fit(COLUMNS, train)
    assert convert(train).tolist() == [[1, 5, 0, 1, 0], [2, 6, 1, 0, 1], [3, 7, 0, 1, 0]]
    assert convert(rows([9, NAN, 2], [9, 1, -1])).tolist() == [[9, 6, 1, 0, 0], [9, 1, 0, 0, 0]]
    assert convert(train).dtype == np.float32


def test_a_column_without_empty_cells_has_no_flag_and_still_takes_one_later():
    convert = Conversion.fit([Column("i", "impute")], rows([1], [3], [8]))
    assert convert(rows([NAN], [4])).tolist() == [[3], [4]]


def test_a_column_that_is_empty_in_the_training_split_is_filled_with_0():
    convert = Conversion.fit([Column("i", "impute"), Column("n")], rows([NAN, 1], [NAN, 2]))
    assert convert(rows([NAN, 1], [4, 1])).tolist() == [[1, 0, 1], [1, 4, 0]]


def test_an_empty_cell_of_a_category_is_a_value_where_training_had_one():
    column = Column("c", "one_hot", ("x", "y"))
    assert Conversion.fit([column], rows([0], [NAN]))(rows([NAN], [0])).tolist() == [[0, 1], [1, 0]]
    assert Conversion.fit([column], rows([0], [1]))(rows([NAN])).tolist() == [[0, 0]]


def test_the_most_frequent_values_of_a_category_get_a_feature():
    codes = np.repeat(np.arange(60), np.arange(60) + 1)[:, None].astype(np.float32)
    convert = Conversion.fit([Column("c", "one_hot", tuple(map(str, range(60))))], codes)
    features = convert(np.arange(60, dtype=np.float32)[:, None])
    assert features.shape == (60, MOST_VALUES)
    assert features.sum(axis=1).tolist() == [0.0] * 10 + [1.0] * 50


def test_it_is_scikit_learns_transformer_fitted_on_the_same_rows():
    rng = np.random.default_rng(0)
    train = np.stack([rng.normal(size=200), rng.normal(size=200), rng.integers(0, 3, 200)], axis=1)
    train[rng.random(200) < 0.2, 1] = NAN
    other = train[::-1].copy()
    train = train.astype(np.float32)
    theirs = ColumnTransformer(
        [
            ("n", "passthrough", [0]),
            ("i", SimpleImputer(strategy="median", add_indicator=True), [1]),
            ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
        ],
        sparse_threshold=0,
    ).fit(train)
    ours = Conversion.fit(COLUMNS, train)
    np.testing.assert_array_equal(
        ours(other.astype(np.float32)), theirs.transform(other.astype(np.float32))
    )


def test_it_is_saved_as_plain_values_and_is_then_the_same():
    train = rows([1, 5, 0], [2, NAN, NAN], [3, 7, 0])
    convert, file = Conversion.fit(COLUMNS, train), io.BytesIO()
    torch.save(convert.state(), file)
    file.seek(0)
    loaded = Conversion.from_state(torch.load(file, weights_only=True))
    assert loaded.columns == tuple(COLUMNS)
    assert loaded(train).tolist() == convert(train).tolist()


# ---- a leak is planted


def table(path, changed: np.ndarray) -> Protocol:
    """A table; in the rows that are changed, all features are far from what they were."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": rng.normal(size=200),
            "i": np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200)),
            "c": rng.choice(["x", "y"], 200),
            "d": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 99, 200), unit="D"),
            "label": rng.choice(["a", "b"], 200),
        }
    )
    frame.loc[changed, "n"] += 1e4
    frame.loc[changed, "i"] = 1e4
    frame.loc[changed, "c"] = "leak"
    frame.loc[changed, "d"] = pd.Timestamp("1950-01-01")
    frame.to_csv(path, index=False)
    rules = {"n": "number", "i": "impute", "c": "one_hot", "d": "date"}
    data = Data(source="table", path=path, columns=rules)
    return Protocol(data=data, splits={"test": 40, "val": 20, "meta": 20})


@pytest.mark.parametrize("split", ["test", "val", "meta"])
def test_nothing_of_other_splits_is_in_what_was_learned(split, tmp_path):
    nobody = np.zeros(200, bool)
    task = prepare(table(tmp_path / "plain.csv", nobody), 1)
    leaking = nobody.copy()
    leaking[getattr(task, split).index] = True
    leaked = prepare(table(tmp_path / "leak.csv", leaking), 1)
    assert leaked.conversion.learned["medians"] == task.conversion.learned["medians"]
    assert len(leaked.conversion.learned["categories"][0]) == 2
    assert torch.equal(leaked.train.x, task.train.x)
    if split == "test":
        assert torch.equal(leaked.mean, task.mean) and torch.equal(leaked.std, task.std)
    # The plant is seen where the conversion is fitted on all rows.
    everything = load_dataset(table(tmp_path / "leak.csv", leaking).data)
    careless = Conversion.fit(everything.columns, everything.x).learned
    assert careless["medians"] != task.conversion.learned["medians"]
    assert len(careless["categories"][0]) == 3


def test_rules_are_part_of_the_datas_fingerprint(tmp_path):
    protocol = table(tmp_path / "t.csv", np.zeros(200, bool))
    rules = protocol.data.columns
    other = protocol.data.model_copy(update={"columns": rules | {"c": {"ordinal": ["x", "y"]}}})
    plain = protocol.data.model_copy(update={"columns": rules | {"i": "drop", "c": "drop"}})
    assert len({load_dataset(data).fingerprint for data in (protocol.data, other, plain)}) == 3


def test_a_table_of_numbers_alone_is_the_same_data_with_its_columns_named(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n1,0,x\n2,5,y\n")
    plain = Data(source="table", path=tmp_path / "t.csv")
    named = plain.model_copy(update={"columns": {"a": "number", "b": "number"}})
    assert load_dataset(plain).fingerprint == load_dataset(named).fingerprint
