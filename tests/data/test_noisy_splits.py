"""Noise and imbalance act on the splits that a study names, and on no other."""

import pytest
import torch

from pipelines.errors import UserError
from pipelines.study.label_corruption import Imbalance, Noise
from pipelines.study.protocol import Splits
from tests.support.small_data import NAMES, index, task


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


def test_noise_leaves_the_rows_of_splits_alone_and_changes_their_hash():
    clean, noisy = task(), task(noise=Noise(kind="flip", rate=0.4))
    for name in NAMES:
        assert index(clean, name) == index(noisy, name)
    assert clean.description["splits"] != noisy.description["splits"]
    assert clean.description["fingerprint"] == noisy.description["fingerprint"]


def test_a_corrupted_val_split_follows_the_noise_law_of_train():
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
    known = task(source="half_known")
    train = known.train
    rate = (train.truth[train.truth >= 0] != 0).double().mean().item()
    assert known.description["noise"]["measured"]["train"] == pytest.approx(rate)
    assert (train.y == 0).all()


def test_an_imbalance_that_leaves_a_class_empty_is_refused():
    with pytest.raises(UserError, match=r"class 'c': no training example .*factor = 1000"):
        task(imbalance=Imbalance(kind="step", factor=1000))
