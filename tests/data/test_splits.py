"""Splits are disjoint, stratified, complete and keyed by their seeds."""

import numpy as np
import pytest
import torch

from pipelines.data import task as tasks
from pipelines.data.dataset import make_dataset
from pipelines.data.splits import split_rows
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.label_corruption import Noise
from pipelines.study.protocol import Protocol, Splits
from tests.support.small_data import NAMES, index, table, task


def assert_partition(rows: dict[str, np.ndarray], n: int) -> None:
    together = np.concatenate([rows[name] for name in NAMES])
    assert len(together) == n
    assert len(np.unique(together)) == n, "two splits share a row"


def test_digits_in_the_reference_setting_leave_1097_examples_to_train_on():
    digits = prepare(Protocol(splits=Splits(test=500)), 0)
    assert [len(getattr(digits, name)) for name in NAMES] == [1097, 100, 100, 500]
    assert digits.description["sizes"] == {"train": 1097, "meta": 100, "val": 100, "test": 500}
    assert digits.input_shape == (1, 8, 8)


def test_splits_are_disjoint_and_complete_for_many_seeds():
    dataset = make_dataset("here", table()["x"], table()["y"])
    for seed in range(10):
        for data_seed in range(100):
            splits = Splits(meta=5 + seed, val=40, test=100)
            assert_partition(split_rows(dataset, splits, seed, data_seed), 600)


def test_the_test_split_is_fixed_per_study_and_the_rest_follows_the_data_seed():
    first, other = task(0), task(1)
    assert index(first, "test") == index(other, "test")
    for name in ("train", "meta", "val"):
        assert index(first, name) != index(other, name)
    assert index(task(0, seed=1), "test") != index(first, "test")
    assert first.description["splits"] != other.description["splits"]


def test_the_same_seeds_give_the_same_task_in_another_process():
    noise = {"noise": Noise(kind="flip", rate=0.4)}
    first = task(3, **noise)
    tasks._prepare.cache_clear()
    again = task(3, **noise)
    assert first is not again
    assert first.description == again.description
    for name in NAMES:
        for column, values in vars(getattr(first, name)).items():
            assert torch.equal(values, getattr(getattr(again, name), column))


def test_splits_have_the_classes_in_the_proportion_of_the_source():
    for seed in range(5):
        counts = task(seed).description["counts"]
        assert counts["test"] == [60, 40, 20]
        assert counts["meta"] == counts["val"] == [15, 10, 5]
        assert counts["train"] == [210, 140, 70]


def test_every_class_has_one_example_in_the_smallest_splits():
    counts = task(splits=Splits(meta=3, val=4, test=120)).description["counts"]
    assert counts["meta"] == [1, 1, 1]
    assert counts["val"] == [2, 1, 1]


def test_an_equal_meta_set_has_all_classes_alike_and_changes_no_other_sample():
    as_is, equal = (
        task(splits=Splits(meta=30, val=30, test=120, meta_classes=how))
        for how in ("as_is", "equal")
    )
    assert equal.description["counts"]["meta"] == [10, 10, 10]
    assert index(equal, "val") == index(as_is, "val")
    assert index(equal, "test") == index(as_is, "test")


def test_an_equal_meta_set_leaves_half_of_a_rare_class_to_train_on():
    counts = task(splits=Splits(meta=150, val=30, test=120, meta_classes="equal")).description[
        "counts"
    ]
    assert counts["meta"] == [57, 56, 37] and counts["train"][2] == 38


def test_equal_meta_sets_lie_within_larger_ones():
    small, large = (
        task(splits=Splits(meta=m, val=30, test=120, meta_classes="equal")) for m in (9, 120)
    )
    assert index(small, "meta") < index(large, "meta")


def test_more_clean_labels_leave_test_and_val_alone_and_extend_meta():
    small, large = (task(splits=Splits(meta=m, val=30, test=120)) for m in (6, 60))
    assert index(small, "val") == index(large, "val")
    assert index(small, "test") == index(large, "test")
    assert index(small, "meta") < index(large, "meta")


def test_values_label_and_index_of_a_split_come_from_the_same_row():
    source, split = table(), task().train
    x, y = source["x"][split.index].astype(np.float32), source["y"][split.index]
    assert (split.x.numpy() == x).all()
    assert (np.array(["a", "b", "c"])[split.truth] == y).all()


def test_a_sources_own_test_set_is_used_whole_or_sampled():
    whole = task(source="with_test", splits=Splits(meta=30, val=30))
    assert index(whole, "test") == set(range(450, 600))
    assert len(whole.train) == 390
    part = task(source="with_test")
    assert len(part.test) == 120
    assert index(part, "test") < set(range(450, 600))
    assert not index(part, "train") & set(range(450, 600)), "a left-out test row is trained on"


def test_only_verified_examples_are_in_meta_val_and_test():
    known = task(source="half_known")
    for name in ("meta", "val", "test"):
        split = getattr(known, name)
        assert (split.index % 2 == 0).all()
        assert torch.equal(split.y, split.truth)
    assert set(range(1, 600, 2)) < index(known, "train")
    own = task(source="half_known_with_test", splits=Splits(meta=30, val=30))
    assert index(own, "test") == set(range(450, 600, 2))
    assert not index(own, "train") & set(range(450, 600)), "unverified test rows are trained on"


# ---- what cannot be done


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (Splits(meta=30, val=30), "splits.test: this source has no test set of its own"),
        (Splits(meta=30, val=30, test=601), r"splits.test = 601: must be between 3 .* and 600"),
        (Splits(meta=30, val=200, test=500), r"splits.val = 200: must be between 3 .* and 100"),
        (
            Splits(meta=230, val=30, test=120, meta_classes="equal"),
            r"splits.meta = 230: must be between 3 .* and 224 \(half of what is left of each",
        ),
        (Splits(meta=2, val=30, test=120), r"splits.meta = 2: must be between 3 \(one per class"),
        (Splits(meta=70, val=30, test=500), r"class 'a': no training example is left of 300"),
        (Splits(meta=96, val=3, test=500), "no training example is left .* splits.meta = 96"),
    ],
)
def test_splits_that_the_data_cannot_give_are_refused(splits, message):
    with pytest.raises(UserError, match=message) as refusal:
        task(splits=splits)
    assert "\n" not in str(refusal.value)


def test_a_class_without_verified_examples_is_refused():
    with pytest.raises(UserError, match="class 'b': no example with a known true label"):
        task(source="one_class_known")
    with pytest.raises(UserError, match="none of the 300 examples in the source's own test set"):
        task(source="unverified_test", splits=Splits(meta=30, val=30))
