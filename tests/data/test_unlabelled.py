"""Training examples that lose their label."""

import numpy as np
import pytest
import torch

from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, protocol_hash, with_changes
from tests.conftest import DIGITS

PROTOCOL = Protocol.model_validate(DIGITS)


def task_with(unlabelled, **changes):
    return prepare(with_changes(PROTOCOL, {"splits.unlabelled": unlabelled} | changes), 1)


def test_they_are_of_the_training_split_which_has_them_no_longer():
    whole, task = task_with(0), task_with(40)
    assert task.sizes == whole.sizes | {"train": whole.sizes["train"] - 40, "unlabelled": 40}
    both = torch.cat([task.train.index, task.unlabelled.index]).sort().values
    assert torch.equal(both, whole.train.index)
    for name in ("meta", "val", "test"):
        assert torch.equal(getattr(task, name).index, getattr(whole, name).index)
    assert torch.equal(task.mean, whole.mean)


def test_they_have_no_label_and_are_not_trusted():
    split = task_with(40).unlabelled
    assert (split.y == -1).all() and not split.trusted.any() and (split.truth >= 0).all()
    assert (split.index.diff() > 0).all()


def test_they_are_drawn_by_the_data_seed_and_fewer_lie_within_more():
    few, many = (set(task_with(n).unlabelled.index.tolist()) for n in (20, 40))
    other = prepare(with_changes(PROTOCOL, {"splits.unlabelled": 40}), 2).unlabelled.index
    assert few < many and set(other.tolist()) != many


def test_a_pool_has_those_with_a_label_first():
    task = task_with(40)
    pool = task.pool("train+unlabelled")
    assert torch.equal(pool.y, torch.cat([task.train.y, torch.full((40,), -1)]))
    assert len(task.pool("unlabelled")) == 40 and len(task_with(0).pool("unlabelled")) == 0


def test_a_record_tells_how_many_there_are_and_says_nothing_without():
    description, plain = (task_with(n).description for n in (40, 0))
    assert description["sizes"]["unlabelled"] == 40
    assert sum(description["counts"]["unlabelled"]) == 0
    assert "unlabelled" not in plain["sizes"] | plain["counts"]
    assert description["splits"] != plain["splits"]


def test_a_study_without_them_keeps_its_hash():
    hashes = [
        protocol_hash(p, "") for p in (PROTOCOL, with_changes(PROTOCOL, {"splits.unlabelled": 0}))
    ]
    assert len(set(hashes)) == 1
    assert protocol_hash(with_changes(PROTOCOL, {"splits.unlabelled": 1}), "") not in hashes


def test_they_are_drawn_of_what_imbalance_leaves():
    task = task_with(40, **{"imbalance.kind": "exponential", "imbalance.factor": 5.0})
    rows = np.concatenate([task.train.index, task.unlabelled.index])
    thinned = task_with(0, **{"imbalance.kind": "exponential", "imbalance.factor": 5.0})
    assert sorted(rows) == thinned.train.index.tolist()


@pytest.mark.parametrize("number", [290, 10_000])
def test_every_class_keeps_a_label(number):
    with pytest.raises(UserError, match=rf"splits\.unlabelled = {number}: of the 297 training"):
        task_with(number)
