"""A leak is planted: whatever the test examples hold, what is learned has the same bits.

Their inputs, labels and annotators' answers become others; then all that is fitted (statistics, a
table's conversion, annotators' errors, weights of classes, estimates of the noise) and all that is
trained is compared. Where the test split is drawn, it is drawn by labels, which stay as they are.
"""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pipelines.data.annotators import settle
from pipelines.data.loading import load_dataset
from pipelines.data.normalisation import statistics
from pipelines.data.task import prepare
from pipelines.study.protocol import Protocol, with_changes
from pipelines.study.study_file import parse_study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import run_trial

N, TEST = 300, 80  # the last ones are for testing, where a source has a test set of its own
CLASSES = ["a", "b", "c"]
RULES = {"n": "number", "i": "impute", "c": "one_hot", "d": "date"}
WORKERS = 4


def arrays(folder, x, planted):
    """x [N, ...] in three classes of different sizes; what is planted has other labels, too."""
    y = np.random.default_rng(1).choice(3, N, p=[0.6, 0.3, 0.1])
    y[planted] = (y[planted] + 1) % 3
    train, test = slice(0, N - TEST), slice(N - TEST, N)
    parts = {"x": x[train], "y": y[train], "x_test": x[test], "y_test": y[test]}
    np.savez(folder / "d.npz", **parts, classes=CLASSES)
    return {"source": "arrays", "path": folder / "d.npz"}, y


def images(folder, planted):
    x = np.random.default_rng(0).integers(0, 100, (N, 1, 6, 6), np.uint8)
    x[planted] = 255 - x[planted]
    return arrays(folder, x, planted)[0]


def crowd(folder, planted):
    """The first annotator is right, but of what is planted; the others seldom are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    x[planted] += 1000
    data, y = arrays(folder, x, planted)
    answers = rng.choice(3, (N, WORKERS))
    answers[:, 0] = np.where(planted, (y + rng.choice(3, N)) % 3, y)
    lines = [
        f"{row},w{by},{CLASSES[answers[row, by]]}" for row in range(N) for by in range(WORKERS)
    ]
    (folder / "workers.csv").write_text("\n".join(["path,worker,label", *lines]))
    labels = {"file": folder / "workers.csv", "annotator": "worker", "rule": "dawid_skene"}
    return data | {"labels": labels}


def pooled_crowd(folder, planted):
    """The same without a test set of its own; what is planted are answers alone."""
    data = crowd(folder, planted)
    arrays(folder, np.random.default_rng(0).normal(size=(N, 4)), np.zeros(N, bool))
    with np.load(data["path"]) as parts:
        whole = {name: np.concatenate([parts[name], parts[f"{name}_test"]]) for name in "xy"}
    np.savez(data["path"], **whole, classes=CLASSES)
    return data


def table(folder, planted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": rng.normal(size=N),
            "i": np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)),
            "c": rng.choice(["x", "y"], N),
            "d": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 99, N), unit="D"),
            "label": rng.choice(CLASSES, N),
        }
    )
    frame.loc[planted, ["n", "i"]] = 1e4
    frame.loc[planted, "c"] = "leak"
    frame.loc[planted, "d"] = pd.Timestamp("1950-01-01")
    frame.to_csv(folder / "t.csv", index=False)
    return {"source": "table", "path": folder / "t.csv", "columns": RULES}


def texts(folder, planted):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "text": [" ".join(rng.choice(["who", "where", "what", "why"], 5)) for _ in range(N)],
            "label": rng.choice(CLASSES, N),
        }
    )
    frame.loc[planted, "text"] = "leak " * 9
    frame.to_csv(folder / "t.csv", index=False)
    return {"source": "text", "path": folder / "t.csv", "encoder": "words"}


def study_of(source, folder, planted, arm="ce", **changes):
    folder.mkdir()
    protocol = Protocol(
        data=source(folder, planted),
        noise={"kind": "none"}
        if source in (crowd, pooled_crowd)
        else {"kind": "symmetric", "rate": 0.3},
        splits={"meta": 30, "val": 30} | ({} if source in (images, crowd) else {"test": TEST}),
        model={"name": "mlp", "options": {"hidden": [8]}},
        schedule={"epochs": 3, "lr": 0.05, "batch_size": 50},
    )
    protocol = with_changes(protocol, changes)
    given = {"protocol": protocol.model_dump(mode="json"), "request": {"arms": [arm]}}
    return parse_study({"name": "t", **given}, "t")


def both(source, tmp_path, arm="ce", **changes):
    """The study as it is, and with all of its test examples planted."""
    plain = study_of(source, tmp_path / "plain", np.zeros(N, bool), arm, **changes)
    planted = np.zeros(N, bool)
    planted[prepare(plain.protocol, 1).test.index] = True
    return plain, study_of(source, tmp_path / "planted", planted, arm, **changes)


def learned(study, arm):
    """All that a trial leaves to use, and what it said of the test examples."""
    spec = TrainingSpec(study.protocol, tuple(study.arm(arm).resolve({})), 1, 2)
    *_, last = run_trial(spec)
    files = artifacts(spec, last.snapshot())
    parts = {name: torch.load(io.BytesIO(file), weights_only=True) for name, file in files.items()}
    # Of a value that training has not, a table knows the name; no feature comes of it.
    parts["model.pt"].pop("conversion")
    return parts, last.result["held_out"]["last"]


def assert_same(one, other, where="all"):
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        one, other = [*one.items()], [*other.items()]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for place, (mine, its) in enumerate(zip(one, other, strict=True)):
            assert_same(mine, its, f"{where}, {place}: {str(mine)[:40]}")
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True, msg=where)
    else:
        assert one == other, where


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "cache"))


ARMS = ["ce_balanced_deferred", "logit_adjusted", "elr", "glc", "forward", "volminnet"]
ARMS += ["importance_weights", "mentornet_dd", "fwl", "mw_net", "l2rw_safe", "self_paced"]
ARMS += ["boosted_trees_balanced"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "arm", "changes"),
    [
        *((images, arm, {}) for arm in ARMS),
        (images, "ce_ema", {"augment": "crop_flip+mixup"}),
        (images, "mw_net", {"augment": "crop_flip+cutmix"}),
        (crowd, "ce", {}),
        (crowd, "mw_net", {"splits.val_labels": "corrupted"}),
        (table, "ce", {}),
        (table, "boosted_trees", {}),
        (table, "logistic_regression_balanced", {}),
        (texts, "ce", {}),
    ],
    ids=lambda value: getattr(value, "__name__", "") if callable(value) else None,
)
def test_nothing_that_is_learned_depends_on_test_examples(source, arm, changes, tmp_path):
    (first, said), (second, saw) = (
        learned(study, arm) for study in both(source, tmp_path, arm, **changes)
    )
    assert_same(first, second)
    assert said != saw  # the plant was there


def test_what_annotators_say_of_test_examples_teaches_nothing_of_others(tmp_path):
    plain, planted = (prepare(s.protocol, 1) for s in both(crowd, tmp_path))
    assert torch.equal(plain.train.y, planted.train.y)
    assert torch.equal(plain.mean, planted.mean) and torch.equal(plain.std, planted.std)
    # The plant is seen where all answers are believed.
    dataset = load_dataset(Protocol(data=crowd(tmp_path, np.arange(N) >= N - TEST)).data)
    rows, labels = settle(dataset.answers, "dawid_skene")
    assert rows.tolist() == list(range(N))
    assert labels[planted.train.index].tolist() != planted.train.y.tolist()
    nobody = np.zeros(0, np.int64)
    careless = statistics(replace(dataset, test=None), nobody, "data")
    assert not torch.equal(careless[0], planted.mean)


def test_nor_of_those_that_are_drawn_for_testing(tmp_path):
    plain, planted = (prepare(s.protocol, 1) for s in both(pooled_crowd, tmp_path))
    assert torch.equal(plain.test.index, planted.test.index)
    assert torch.equal(plain.train.y, planted.train.y)
