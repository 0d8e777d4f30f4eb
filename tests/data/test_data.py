"""Splits are disjoint, stratified and keyed by their seeds; corruption stays where it belongs."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.splits import split_rows
from pipelines.data.task import Task, prepare
from pipelines.errors import UserError
from pipelines.study.protocol import Data, Imbalance, Noise, Protocol, Splits

DIGITS = Splits(test=500)
OWN = f"{__name__}:table"
NAMES = ("train", "meta", "val", "test")


def table() -> dict[str, Any]:
    """600 rows in three classes of 300, 200 and 100; the first feature tells which row it is."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["a", "b", "c"], [300, 200, 100]))
    constant = 1 + np.arange(600) % 2 * np.finfo(np.float32).eps  # but for the last digit
    return {"x": np.stack([np.arange(600), rng.normal(5, 3, 600), constant], axis=1), "y": y}


def with_test() -> dict[str, Any]:
    """The same rows, the last 150 of them for testing and with values of their own."""
    made = table()
    made["x"][450:, 1] += 1000
    return made | {"test": np.arange(600) >= 450}


def half_known() -> dict[str, Any]:
    """The true label is known of every second row; what is observed is always a."""
    y = table()["y"]
    truth = np.where(np.arange(600) % 2 == 0, np.searchsorted(["a", "b", "c"], y), -1)
    return {"x": table()["x"], "y": np.zeros(600, int), "truth": truth, "classes": ["a", "b", "c"]}


def half_known_with_test() -> dict[str, Any]:
    return half_known() | {"test": np.arange(600) >= 450}


def unverified_test() -> dict[str, Any]:
    return half_known() | {"test": np.arange(600) % 2 == 1}


def task(data_seed: int = 0, source: str = OWN, **parts: Any) -> Task:
    parts.setdefault("splits", Splits(meta=30, val=30, test=120))
    return prepare(Protocol(data=Data(source=source), **parts), data_seed)


def index(task: Task, name: str) -> set[int]:
    return set(getattr(task, name).index.tolist())


def assert_partition(rows: dict[str, np.ndarray], n: int) -> None:
    together = np.concatenate([rows[name] for name in NAMES])
    assert len(together) == n
    assert len(np.unique(together)) == n, "two splits share a row"


# ---- splits


def test_sizes_of_the_reference_setting():
    digits = prepare(Protocol(splits=DIGITS), 0)
    assert [len(getattr(digits, name)) for name in NAMES] == [1097, 100, 100, 500]
    assert digits.description["sizes"] == {"train": 1097, "meta": 100, "val": 100, "test": 500}
    assert digits.input_shape == (1, 8, 8)


def test_splits_are_disjoint_and_complete_for_many_seeds():
    dataset = make_dataset("here", table()["x"], table()["y"])
    for seed in range(10):
        for data_seed in range(100):
            splits = Splits(meta=5 + seed, val=40, test=100)
            assert_partition(split_rows(dataset, splits, seed, data_seed), 600)


def test_test_is_fixed_per_study_and_the_rest_follows_the_data_seed():
    first, other = task(0), task(1)
    assert index(first, "test") == index(other, "test")
    for name in ("train", "meta", "val"):
        assert index(first, name) != index(other, name)
    assert index(task(0, seed=1), "test") != index(first, "test")
    assert first.description["splits"] != other.description["splits"]


def test_same_seeds_same_task():
    noise = {"noise": Noise(kind="flip", rate=0.4)}
    first, again = task(3, **noise), task(3, threads=2, **noise)
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


def test_more_clean_labels_leave_test_and_val_alone_and_extend_meta():
    small, large = (task(splits=Splits(meta=m, val=30, test=120)) for m in (6, 60))
    assert index(small, "val") == index(large, "val")
    assert index(small, "test") == index(large, "test")
    assert index(small, "meta") < index(large, "meta")


def test_rows_of_a_split_belong_together():
    """The values, the label and the index of an example come from the same row."""
    source, split = table(), task().train
    x, y = source["x"][split.index].astype(np.float32), source["y"][split.index]
    assert (split.x.numpy() == x).all()
    assert (np.array(["a", "b", "c"])[split.truth] == y).all()


def test_own_test_set_is_used_whole_or_sampled():
    whole = task(source=f"{__name__}:with_test", splits=Splits(meta=30, val=30))
    assert index(whole, "test") == set(range(450, 600))
    assert len(whole.train) == 390
    part = task(source=f"{__name__}:with_test")
    assert len(part.test) == 120
    assert index(part, "test") < set(range(450, 600))
    assert not index(part, "train") & set(range(450, 600)), "a left-out test row is trained on"


def test_only_verified_examples_are_in_meta_val_and_test():
    known = task(source=f"{__name__}:half_known")
    for name in ("meta", "val", "test"):
        split = getattr(known, name)
        assert (split.index % 2 == 0).all()
        assert torch.equal(split.y, split.truth)
    assert set(range(1, 600, 2)) < index(known, "train")
    own = task(source=f"{__name__}:half_known_with_test", splits=Splits(meta=30, val=30))
    assert index(own, "test") == set(range(450, 600, 2))
    assert not index(own, "train") & set(range(450, 600)), "unverified test rows are trained on"


# ---- corruption


def test_meta_val_and_test_are_clean_and_noise_is_measured():
    noisy = task(noise=Noise(kind="symmetric", rate=0.5))
    wrong = (noisy.train.y != noisy.train.truth).double().mean().item()
    assert noisy.description["noise"] == {
        "kind": "symmetric",
        "nominal": 0.5,
        "measured": {"train": wrong, "val": 0.0},
    }
    assert 0.4 < wrong < 0.6
    for name in ("meta", "val", "test"):
        split = getattr(noisy, name)
        assert torch.equal(split.y, split.truth)
    assert [getattr(noisy, name).trusted.unique().tolist() for name in NAMES] == [
        [False],
        [True],
        [True],
        [True],
    ]


def test_noise_leaves_splits_alone_and_changes_their_hash():
    clean, noisy = task(), task(noise=Noise(kind="flip", rate=0.4))
    for name in NAMES:
        assert index(clean, name) == index(noisy, name)
    assert clean.description["splits"] != noisy.description["splits"]
    assert clean.description["fingerprint"] == noisy.description["fingerprint"]


def test_corrupted_val_follows_the_law_of_train():
    splits = Splits(meta=30, val=150, test=120, val_labels="corrupted")
    both = task(noise=Noise(kind="flip", rate=1.0), splits=splits)
    law = {(a, b) for a, b in zip(both.train.truth.tolist(), both.train.y.tolist(), strict=True)}
    assert len(law) == 3
    assert {
        (a, b) for a, b in zip(both.val.truth.tolist(), both.val.y.tolist(), strict=True)
    } == law
    assert both.description["noise"]["measured"] == {"train": 1.0, "val": 1.0}
    assert not both.val.trusted.any()
    assert torch.equal(both.meta.y, both.meta.truth)
    assert both.description["val_labels"] == "corrupted"


def test_which_class_a_class_turns_into_varies_with_the_data_seed():
    maps = set()
    for seed in range(6):
        train = task(seed, noise=Noise(kind="flip", rate=1.0)).train
        maps.add(tuple(train.y[train.truth == c][0].item() for c in range(3)))
    assert len(maps) > 1


def test_imbalance_thins_the_training_split_only_and_noise_comes_after():
    counts = task(imbalance=Imbalance(kind="exponential", factor=4)).description["counts"]
    assert counts["train"] == [210, 105, 52]
    assert counts["test"] == [60, 40, 20]
    both = task(
        imbalance=Imbalance(kind="exponential", factor=4), noise=Noise(kind="uniform", rate=0.6)
    )
    assert torch.bincount(both.train.truth).tolist() == [210, 105, 52]
    assert torch.bincount(both.train.y).tolist() != [210, 105, 52]


def test_measured_noise_is_over_the_examples_whose_truth_is_known():
    known = task(source=f"{__name__}:half_known")
    train = known.train
    rate = (train.truth[train.truth >= 0] != 0).double().mean().item()
    assert known.description["noise"]["measured"]["train"] == pytest.approx(rate)
    assert (train.y == 0).all()


# ---- what a learner sees


def test_normalised_inputs_have_mean_0_and_deviation_1():
    made = task(source=f"{__name__}:with_test", splits=Splits(meta=30, val=30))
    x = torch.cat([made.normalise(getattr(made, n).x) for n in ("train", "meta", "val")])
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0
    )
    assert made.std[2] == 1, "a constant feature is blown up"


@pytest.mark.parametrize("source", ["table", "with_test"])
def test_mean_and_deviation_are_blind_to_the_test_set(source):
    """Whether it is drawn from everything, or sampled from the source's own."""
    made = task(source=f"{__name__}:{source}")
    values = globals()[source]()
    hidden = values.get("test", np.isin(np.arange(600), made.test.index))
    x = values["x"][~hidden].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(made.mean[:2], x.mean(0)[:2], rtol=1e-6)
    np.testing.assert_allclose(made.std[:2], x.std(0)[:2], rtol=1e-6)


def test_images_are_normalised_per_channel():
    images = prepare(Protocol(data=Data(source=f"{__name__}:pictures"), splits=TINY), 0)
    assert images.mean.flatten().tolist() == [10.0, 20.0]
    assert images.std.flatten().tolist() == [2.0, 1.0]
    assert images.mean.shape == (2, 1, 1)
    assert images.normalise(images.train.x)[:, 0].unique().tolist() == [-1.0, 1.0]


TINY = Splits(meta=2, val=2, test=4)


def pictures() -> Dataset:
    """The first channel is 8 or 12 in equal parts, the second constant."""
    x = np.full((20, 2, 2, 2), 20, np.uint8)
    x[:, 0] = np.tile([8, 12], 40).reshape(20, 2, 2)
    return make_dataset("pictures", x, np.tile([0, 1], 10))


@pytest.mark.parametrize(
    ("name", "repeat", "sizes"),
    [
        ("train", 5, {"train": 1}),
        ("train+meta", 1, {"train": 1, "meta": 1}),
        ("train+meta", 10, {"train": 1, "meta": 10}),
        ("meta", 1, {"meta": 1}),
        ("meta+val", 1, {"meta": 1, "val": 1}),
    ],
)
def test_pools(name, repeat, sizes):
    made = task(noise=Noise(kind="symmetric", rate=0.5))
    pool = made.pool(name, repeat)
    expected = [i for n, k in sizes.items() for i in getattr(made, n).index.tolist() * k]
    assert pool.index.tolist() == expected
    assert pool.trusted.sum() == len(expected) - len(made.train) * sizes.get("train", 0)
    assert (pool.y[pool.trusted] == pool.truth[pool.trusted]).all()
    assert torch.equal(pool.x[:, 0].long(), pool.index)


def test_task_moves_to_a_device():
    moved = task().to("meta")
    assert moved.mean.is_meta
    assert all(v.is_meta for name in NAMES for v in vars(getattr(moved, name)).values())


def test_a_description_is_plain_json():
    description = task().description
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    assert description["classes"] == ["a", "b", "c"]
    assert description["examples"] == 600


def test_the_latest_tasks_are_kept():
    assert task(7) is task(7)
    assert task(7) is not task(8)


# ---- what cannot be done


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (Splits(meta=30, val=30), "splits.test: this source has no test set of its own"),
        (Splits(meta=30, val=30, test=601), r"splits.test = 601: must be between 3 .* and 600"),
        (Splits(meta=30, val=200, test=500), r"splits.val = 200: must be between 3 .* and 100"),
        (Splits(meta=2, val=30, test=120), r"splits.meta = 2: must be between 3 \(one per class"),
        (Splits(meta=70, val=30, test=500), r"class 'a': no training example is left of 300"),
        (Splits(meta=96, val=3, test=500), "no training example is left .* splits.meta = 96"),
    ],
)
def test_splits_that_the_data_cannot_give_are_refused(splits, message):
    with pytest.raises(UserError, match=message) as caught:
        task(splits=splits)
    assert "\n" not in str(caught.value)


def test_an_imbalance_that_leaves_a_class_empty_is_refused():
    with pytest.raises(UserError, match=r"class 'c': no training example .*factor = 1000"):
        task(imbalance=Imbalance(kind="step", factor=1000))


def test_a_class_without_verified_examples_is_refused():
    with pytest.raises(UserError, match="class 'b': no example with a known true label"):
        task(source=f"{__name__}:one_class_known")
    with pytest.raises(UserError, match="none of the 300 examples in the source's own test set"):
        task(source=f"{__name__}:unverified_test", splits=Splits(meta=30, val=30))


def one_class_known() -> dict[str, Any]:
    made = half_known()
    return made | {"truth": np.where(made["truth"] == 1, -1, made["truth"])}
