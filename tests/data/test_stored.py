"""Examples that stay on disk: the same numbers, wherever they are read from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data import stored
from pipelines.data.stored import Stored, examples, joined
from pipelines.data.task import _prepare, prepare
from pipelines.training.trial import run_trial
from tests.conftest import training_spec, under

ROWS = np.array([7, 3, 3, 11, 0])


@pytest.fixture
def array(tmp_path: Path) -> np.memmap:
    file = tmp_path / "x.npy"
    np.save(file, np.arange(12 * 6, dtype=np.uint8).reshape(12, 1, 2, 3))
    return np.load(file, mmap_mode="r")


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stored, "MOST_IN_MEMORY", 0)
    _prepare.cache_clear()
    yield
    _prepare.cache_clear()


def test_they_are_read_as_a_tensor_of_them_is(array):
    on_disk, in_memory = Stored(array, ROWS), torch.from_numpy(np.array(array)[ROWS])
    places = torch.tensor([4, 1, 1])
    assert (len(on_disk), on_disk.shape) == (5, in_memory.shape)
    assert on_disk.device == in_memory.device and on_disk.to("cpu").shape == in_memory.shape
    for of in (lambda x: x[:], lambda x: x[1:3], lambda x: x[places]):
        assert torch.equal(of(on_disk), of(in_memory))
    assert torch.equal(on_disk.index_select(0, places), in_memory[places])
    assert [p.tolist() for p in on_disk.split(2)] == [p.tolist() for p in in_memory.split(2)]


def test_only_what_is_larger_than_the_limit_stays_on_disk(array, monkeypatch):
    assert isinstance(examples(array, ROWS), torch.Tensor)
    monkeypatch.setattr(stored, "MOST_IN_MEMORY", array.nbytes)
    assert isinstance(examples(array, ROWS), torch.Tensor)
    monkeypatch.setattr(stored, "MOST_IN_MEMORY", array.nbytes - 1)
    assert isinstance(examples(array, ROWS), Stored)


def test_parts_of_a_data_set_are_joined_where_they_are(array):
    parts = [Stored(array, ROWS), Stored(array, ROWS[:2])]
    both = joined(parts)
    assert isinstance(both, Stored)
    assert torch.equal(both[:], torch.cat([part[:] for part in parts]))


def test_batches_that_are_expected_are_read_ahead_in_whatever_order_they_are_asked_for(array):
    batches = list(torch.randint(5, (12, 3)))
    on_disk = Stored(array, ROWS)
    for numbers in (range(12), (3, 4, 9, 2, 2, 11), (0,)):  # a resumed epoch begins in the middle
        on_disk.expect(batches)
        for number in numbers:
            read = on_disk.index_select(0, batches[number])
            assert torch.equal(read, on_disk[batches[number]])
    on_disk.expect(batches)
    on_disk.index_select(0, batches[5])
    assert sorted(on_disk._read) == [6, 7, 8, 9]


def test_what_cannot_be_read_is_told_by_the_step_that_needs_it(array):
    on_disk, batches = Stored(array, ROWS), [torch.tensor([0, 1]), torch.tensor([99])]
    on_disk.expect(batches)
    on_disk.index_select(0, batches[0])
    with pytest.raises(IndexError):
        on_disk.index_select(0, batches[1])


IMAGES = {
    "data.source": "digits",
    "augment": "crop_flip",
    "model.name": "cnn",
    "model.options": {"width": 2},
    "schedule.epochs": 2,
}
TABLE = {"data.source": "tests.support.small_data:digits_table", "schedule.epochs": 2}


@pytest.mark.parametrize("change", [IMAGES, TABLE], ids=["images", "table"])
@pytest.mark.parametrize("arm", ["l2rw", "gce_plus_meta", "logistic_regression"])
def test_a_trial_has_the_same_numbers_as_in_memory(
    arm: str, change: dict, nothing_fits, monkeypatch
):
    spec = under(training_spec(arm), change)
    assert isinstance(prepare(spec.protocol, spec.data_seed).train.x, Stored)
    from_disk = [step.row for step in run_trial(spec) if step.row]
    monkeypatch.undo()
    _prepare.cache_clear()
    in_memory = [step.row for step in run_trial(spec) if step.row]
    assert isinstance(prepare(spec.protocol, spec.data_seed).train.x, torch.Tensor)
    assert in_memory and _numbers(from_disk) == _numbers(in_memory)


def _numbers(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]
