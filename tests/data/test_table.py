"""A .csv or .parquet file becomes a checked data set."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipelines.data.loading import load_dataset
from pipelines.study.protocol import Data
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
