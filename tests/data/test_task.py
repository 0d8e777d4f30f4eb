"""What a learner sees: normalised inputs, pools of splits, a description of the data."""

import json

import numpy as np
import pytest
import torch

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.task import TASKS_KEPT, prepare
from pipelines.study.label_corruption import Noise
from pipelines.study.protocol import Data, Protocol, Schedule, Splits
from pipelines.study.study_file import Request
from tests.support import small_data
from tests.support.small_data import NAMES, task


def test_normalised_inputs_have_mean_0_and_deviation_1():
    prepared = task(source="with_test", splits=Splits(meta=30, val=30))
    x = torch.cat([prepared.normalise(getattr(prepared, n).x) for n in ("train", "meta", "val")])
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5, rtol=0
    )
    assert prepared.std[2] == 1, "a constant feature is blown up"


@pytest.mark.parametrize("source", ["table", "with_test"])
def test_mean_and_deviation_are_blind_to_the_test_set(source):
    """Whether it is drawn from everything, or sampled from the source's own."""
    prepared = task(source=source)
    values = getattr(small_data, source)()
    hidden = values.get("test", np.isin(np.arange(600), prepared.test.index))
    x = values["x"][~hidden].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(prepared.mean[:2], x.mean(0)[:2], rtol=1e-6)
    np.testing.assert_allclose(prepared.std[:2], x.std(0)[:2], rtol=1e-6)


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
def test_a_pool_joins_its_splits_and_repeats_the_meta_examples(name, repeat, sizes):
    prepared = task(noise=Noise(kind="symmetric", rate=0.5))
    pool = prepared.pool(name, repeat)
    expected = [i for n, k in sizes.items() for i in getattr(prepared, n).index.tolist() * k]
    assert pool.index.tolist() == expected
    assert pool.trusted.sum() == len(expected) - len(prepared.train) * sizes.get("train", 0)
    assert (pool.y[pool.trusted] == pool.truth[pool.trusted]).all()
    assert torch.equal(pool.x[:, 0].long(), pool.index)


def test_a_task_moves_to_a_device_with_all_its_tensors():
    moved = task().to("meta")
    assert moved.mean.is_meta
    assert all(v.is_meta for name in NAMES for v in vars(getattr(moved, name)).values())


def test_a_description_is_plain_json():
    description = task().description
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    assert description["classes"] == ["a", "b", "c"]
    assert description["examples"] == 600


def test_as_many_tasks_are_kept_as_a_study_has_repeats_by_default_and_one_more():
    first = task(7)
    others = [task(8 + number) for number in range(TASKS_KEPT - 1)]
    assert task(7) is first and task(8) is others[0]
    task(100)
    assert task(7) is first, "the one that was used last is dropped"
    assert task(9) is not others[1]
    assert Request.model_fields["repeats"].default < TASKS_KEPT


def test_trials_that_differ_in_nothing_but_the_schedule_share_their_task():
    fast = Schedule(lr=0.5)
    assert task(5) is task(5, schedule=fast, threads=2, metric="macro_f1")
    assert task(5) is not task(5, noise=Noise(kind="flip", rate=0.1))
