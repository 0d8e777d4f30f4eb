"""Training examples that lose their label."""

import numpy as np
import pytest
import torch

from pipelines.data.dataset import make_dataset
from pipelines.data.loading import load_dataset
from pipelines.data.survey import summary, survey
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data, Protocol, protocol_hash, with_changes
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
    assert len(task.pool("unlabelled")) == 40
    with pytest.raises(UserError, match=r"pool = 'unlabelled': there are no examples without a"):
        task_with(0).pool("unlabelled")


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


# ---- of a source that has some


def half_labelled():
    """A hundred rows of two classes, of which the odd ones have no label."""
    y = np.arange(100) // 2 % 2
    return {"x": np.arange(200.0).reshape(100, 2), "y": np.where(np.arange(100) % 2, -1, y),
            "classes": ["a", "b"]}  # fmt: skip


def with_truth():
    return half_labelled() | {"truth": (np.arange(100) // 2 % 2).tolist()}


def of_source(source, **changes):
    data = {"data": {"source": f"{__name__}:{source}"}, "splits": {"meta": 4, "val": 6, "test": 10}}
    return with_changes(Protocol.model_validate(data), changes)


def test_minus_one_is_no_label_where_labels_are_positions():
    made = make_dataset("here", np.eye(3), [0, -1, 1], classes=["a", "b"])
    assert made.observed.tolist() == made.truth.tolist() == [0, -1, 1]
    with pytest.raises(UserError, match="row 1 has label -2"):
        make_dataset("here", np.eye(3), [0, -2, 1], classes=["a", "b"])


def test_rows_that_come_without_a_label_are_not_trained_on_with_one():
    task = prepare(of_source("half_labelled"), 1)
    assert task.sizes == {"train": 30, "meta": 4, "val": 6, "test": 10, "unlabelled": 50}
    assert (task.unlabelled.index % 2 == 1).all() and (task.unlabelled.y == -1).all()
    for name in ("train", "meta", "val", "test"):
        split = getattr(task, name)
        assert (split.index % 2 == 0).all() and (split.y >= 0).all()
    more = prepare(of_source("half_labelled", **{"splits.unlabelled": 7}), 1)
    assert more.sizes == task.sizes | {"train": 23, "unlabelled": 57}
    assert set(task.unlabelled.index.tolist()) < set(more.unlabelled.index.tolist())


def test_what_is_known_of_them_may_be_evaluated_on():
    task = prepare(of_source("with_truth", **{"splits.val_labels": "corrupted"}), 1)
    assert (task.unlabelled.index % 2 == 1).all() and (task.train.index % 2 == 0).all()
    assert (task.val.index % 2 == 1).any() and torch.equal(task.val.y, task.val.truth)


@pytest.mark.parametrize("kind", ["labels", "trusted"])
def test_a_file_may_label_them(kind, tmp_path):
    lines = ["path,label", *(f"{row},b" for row in range(1, 60, 2)), "2,a"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = Data(
        source=f"{__name__}:half_labelled", **{kind: LabelsFile(file=tmp_path / "labels.csv")}
    )
    dataset = load_dataset(data)
    assert dataset.observed[[1, 59, 61]].tolist() == [1, 1, -1]
    assert dataset.truth[[1, 61]].tolist() == ([1, -1] if kind == "trusted" else [-1, -1])


def test_a_look_at_data_counts_them_apart(tmp_path):
    np.savez(tmp_path / "half.npz", **half_labelled())
    seen = survey(tmp_path / "half.npz")
    assert seen.counts == [25, 25] and seen.relabelled == 0
    assert dict(summary(seen))["without a label"] == "50, for arms that use such"
