"""An .npz file becomes a checked data set."""

import numpy as np
import pytest

from pipelines.data.loading import load_dataset
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused


def test_arrays_may_bring_their_own_test_set_and_names_of_classes(tmp_path):
    x = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2)
    path = tmp_path / "data.npz"
    np.savez(path, x=x[:3], y=[0, 2, 1], x_test=x[3:], y_test=[2, 2], classes=["u", "v", "w"])
    dataset = load_dataset(Data(source="arrays", path=path))
    assert (dataset.x == x[:, None]).all()
    assert isinstance(dataset.x, np.memmap)
    assert dataset.observed.tolist() == [0, 2, 1, 2, 2]
    assert dataset.classes == ["u", "v", "w"]
    assert dataset.test is not None
    assert dataset.test.tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3))}, "holds x; needed are x, y"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "z": [1]}, "holds x, y, z; needed are"),
        ({"x": np.zeros((2, 3)), "y": [0, 1, 1]}, r"y has shape \(3,\), x has 2 examples"),
        ({"x": np.zeros((2, 3)), "y": [0.5, 1]}, "class names or whole numbers, not float64"),
        ({"x": np.zeros((2, 3)), "y": [1, 1]}, "classes are 1: needed are two or more"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "classes": ["a", "a"]}, "all different"),
        ({"x": np.zeros((2, 3)), "y": [0, 2], "classes": ["a", "b"]}, "row 1 has label 2: .* 0, 1"),
        ({"x": np.array([[0, 1], [np.nan, 2]]), "y": [0, 1]}, "row 1, feature 0 is nan"),
        ({"x": np.zeros((2, 1, 4, 4)), "y": [0, 1]}, "x is float64 .*: must be uint8 images"),
        ({"x": np.zeros((2, 8, 8, 3), np.uint8), "y": [0, 1]}, "have channels last"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "x_test": np.zeros((1, 3))}, "both needed"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), message)


def test_a_text_file_called_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_text("x,y\n")
    assert_refused(Data(source="arrays", path=tmp_path / "data.npz"), "cannot be read as .npz")
