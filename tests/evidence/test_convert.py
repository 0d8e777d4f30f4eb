"""Converters on tiny files in the public formats: what they write is what the product reads."""

import gzip
import pickle
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.evidence.convert import images, tables, texts
from benchmarks.evidence.convert.files import sentence_vectors
from benchmarks.evidence.convert.registry import CONVERTERS, convert
from benchmarks.evidence.sets import SETS
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data


def embed(lines):
    """The length of each text, and its first letter."""
    return np.array([[len(t), ord(t[0])] for t in lines], np.float32)


def arrays(target, label=None, file=None):
    labels = label and LabelsFile(file=target / "labels.csv", label=label)
    path = target / f"{file or target.name}.npz"
    return load_dataset(Data(source="arrays", path=path, labels=labels))


def names(dataset, which):
    return [dataset.classes[k] for k in getattr(dataset, which)]


def test_every_set_that_needs_data_has_a_converter():
    assert {entry.data for entry in SETS.values() if entry.data} == set(CONVERTERS)


def test_letter(tmp_path):
    lines = [f"{c}," + ",".join(str(i + k) for k in range(16)) for i, c in enumerate("TINT")]
    (tmp_path / "letter-recognition.data").write_text("\n".join(lines))
    target = convert("letter", tmp_path, tmp_path / "data")
    found = load_dataset(Data(source="table", path=target / "letter.parquet", target="letter"))
    assert names(found, "truth") == list("TINT") and found.x[1].tolist() == list(range(1, 17))


def test_satellite_and_shuttle_join_their_two_parts(tmp_path):
    row = " ".join(map(str, range(36)))
    (tmp_path / "sat.trn").write_text(f"{row} 1\n{row} 7\n")
    (tmp_path / "sat.tst").write_text(f"{row} 2\n")
    tables.satellite(tmp_path, tmp_path / "satellite")
    path = tmp_path / "satellite" / "satellite.parquet"
    found = load_dataset(Data(source="table", path=path, target="classes"))
    assert names(found, "truth") == ["red soil", "very damp grey soil", "cotton crop"]
    row = " ".join(map(str, range(9)))
    (tmp_path / "shuttle.trn").write_text(f"{row} 4\n{row} 6\n")
    (tmp_path / "shuttle.tst").write_text(f"{row} 1\n")
    tables.shuttle(tmp_path, tmp_path / "shuttle")
    path = tmp_path / "shuttle" / "shuttle.parquet"
    found = load_dataset(Data(source="table", path=path, target="Class"))
    assert names(found, "truth") == ["High", "Bpv.Close", "Rad.Flow"] and found.x.shape == (3, 9)


def test_spam(tmp_path):
    row = ",".join(["0.5"] * 57)
    (tmp_path / "spambase.data").write_text(f"{row},1\n{row},0\n")
    tables.spam(tmp_path, tmp_path / "spam")
    path = tmp_path / "spam" / "spam.parquet"
    found = load_dataset(Data(source="table", path=path, target="type"))
    assert names(found, "truth") == ["spam", "nonspam"] and found.x.shape == (2, 57)


def test_music_has_one_of_the_workers_answers(tmp_path):
    gold = pd.DataFrame({"id": ["a", "b"], "feature0": [1.0, 2.0], "class": ["pop", "rock"]})
    answers = {"id": ["a", "b", "b"], "annotator": [1, 1, 2], "class": ["rock", "pop", "rock"]}
    gold.to_csv(tmp_path / "music_genre_gold.csv", index=False)
    pd.DataFrame(answers).to_csv(tmp_path / "music_genre_mturk.csv", index=False)
    gold.tail(1).to_csv(tmp_path / "music_genre_test.csv", index=False)
    tables.music(tmp_path, tmp_path / "music")
    found = arrays(tmp_path / "music", "one_worker")
    assert names(found, "truth") == ["pop", "rock", "rock"]
    assert names(found, "observed")[0] == "rock" and names(found, "observed")[1] in ("pop", "rock")
    assert found.test.tolist() == [False, False, True]


def test_trec_is_labelled_by_the_rules_that_fire(tmp_path):
    (tmp_path / "train.txt").write_text("NUM:how far is it ?\nHUM:who sang ?\nDESC:well ?\n")
    (tmp_path / "valid.txt").write_text("LOC:where far is it ?\n")
    (tmp_path / "test.txt").write_text("NUM:dist How far is Denver ?\n")
    rules = ["NUMERIC\tfar\tx", "NUMERIC\tfar is\tx", "LOCATION\twhere\tx", "ENTITY\tsang\tx"]
    (tmp_path / "rule.txt").write_text("\n".join(rules))
    texts.trec(tmp_path, tmp_path / "trec", embed)
    found = arrays(tmp_path / "trec", "rules")
    # No rule fires on the third question; two of three take the fourth for a number.
    assert names(found, "truth") == ["NUMERIC", "HUMAN", "LOCATION", "NUMERIC"]
    assert names(found, "observed") == ["NUMERIC", "ENTITY", "NUMERIC", "NUMERIC"]
    assert found.x[3].tolist() == [len("how far is denver ?"), ord("h")]


def test_rules_that_tie_are_drawn_alike_each_time():
    tied = [("HUMAN", re.compile("who")), ("ENTITY", re.compile("what"))]
    draw = [texts.majority(["who what"] * 20, tied, ["ENTITY", "HUMAN"]) for _ in range(2)]
    assert draw[0] == draw[1] and set(draw[0]) == {"ENTITY", "HUMAN"}


def test_news_has_the_lexicons_labels_and_two_kinds_of_features(tmp_path):
    titles = ["sport a goal", "health a cure", "sport a game", "health a pill"]
    clean = pd.DataFrame({"news_title": titles, "label": ["Sport", "Health"] * 2})
    clean.to_csv(tmp_path / "train_clean.tsv", sep="\t", index=False)
    noisy = clean.assign(label=["Sport", "Sport", "Sport", "Health"])
    noisy.to_csv(tmp_path / "train_clean_noisy_labels.tsv", sep="\t")
    clean.tail(1).to_csv(tmp_path / "test.tsv", sep="\t", index=False)
    texts.news(tmp_path, tmp_path / "hausa-news", embed)
    found = arrays(tmp_path / "hausa-news", "weak")
    assert names(found, "truth") == [*["Sport", "Health"] * 2, "Health"]
    assert names(found, "observed")[:4] == ["Sport", "Sport", "Sport", "Health"]
    assert found.x.shape == (5, 2 + 3)  # three components of four titles


def test_banking77(tmp_path):
    table = pd.DataFrame(
        {"text": ["my card", "a fee?", "cash"], "category": ["card", "fee", "fee"]}
    )
    table.to_csv(tmp_path / "train.csv", index=False)
    table.head(1).to_csv(tmp_path / "test.csv", index=False)
    texts.banking77(tmp_path, tmp_path / "banking77", embed)
    found = arrays(tmp_path / "banking77")
    assert names(found, "truth") == ["card", "fee", "fee", "card"] and found.x.shape == (4, 2)


def idx(values):
    values = np.asarray(values, np.uint8)
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


def test_fashion_mnist_is_read_from_idx_files(tmp_path):
    pixels = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 251
    parts = {"train-images-idx3": pixels, "train-labels-idx1": [0, 9, 1]}
    parts |= {"t10k-images-idx3": pixels[:1], "t10k-labels-idx1": [2]}
    for name, values in parts.items():
        (tmp_path / f"{name}-ubyte.gz").write_bytes(idx(values))
    images.fashion(tmp_path, tmp_path / "fashion-mnist")
    found = arrays(tmp_path / "fashion-mnist")
    assert names(found, "truth") == ["top", "boot", "trouser", "pullover"]
    assert (found.x[:3, 0] == pixels).all()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(UserError, match="no IDX file"):
        images.fashion(tmp_path, tmp_path / "fashion-mnist")


def test_ferplus_keeps_images_on_which_most_taggers_agree(tmp_path):
    pixels = " ".join(["128"] * 48 * 48)
    own = {
        "emotion": [3, 0, 2, 3],
        "pixels": [pixels] * 4,
        "Usage": ["Training"] * 3 + ["PublicTest"],
    }
    pd.DataFrame(own).to_csv(tmp_path / "fer2013.csv", index=False)
    votes = dict.fromkeys(images.TAGGED, [0] * 4)
    votes |= {"happiness": [9, 5, 0, 10], "fear": [1, 5, 0, 0], "contempt": [0, 0, 10, 0]}
    pd.DataFrame(votes).to_csv(tmp_path / "fer2013new.csv", index=False)
    images.ferplus(tmp_path, tmp_path / "ferplus")
    found = arrays(tmp_path / "ferplus", "fer2013", "ferplus28")
    assert names(found, "truth") == names(found, "observed") == ["happiness"] * 2
    assert found.x.shape == (2, 1, 28, 28)


def test_tiny_imagenet_takes_every_second_class_at_32_pixels(tmp_path):
    (tmp_path / "wnids.txt").write_text("n3\nn1\nn2\n")
    (tmp_path / "val" / "images").mkdir(parents=True)
    (tmp_path / "val" / "val_annotations.txt").write_text("v0.JPEG\tn3\t0\t0\nv1.JPEG\tn2\t0\t0\n")
    for name in ("train/n1/images/n1_0", "train/n3/images/n3_0", "val/images/v0"):
        file = tmp_path / f"{name}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (200, 10, 10)).save(file)
    images.tiny_imagenet(tmp_path, tmp_path / "tiny")
    shown = sorted(
        str(f.relative_to(tmp_path / "tiny")) for f in (tmp_path / "tiny").rglob("*.png")
    )
    assert shown == ["test/n3/000.png", "train/n1/000.png", "train/n3/000.png"]


def test_cifar10n_has_the_worst_of_three_labels(tmp_path, monkeypatch):
    labels = [k for k in range(10) for _ in range(2)]
    monkeypatch.setattr(images, "CIFAR_TRAIN", 2)
    fake = {True: labels, False: labels[::2]}

    class Cifar:
        def __init__(self, root, train):
            self.classes = [f"c{k}" for k in range(10)]
            self.targets = fake[train]
            self.data = np.arange(len(self.targets))[:, None, None, None] * np.ones((32, 32, 3))

    monkeypatch.setattr(images, "CIFAR10", Cifar)
    wrong = [(k + 1) % 10 for k in labels]
    human = {"clean_label": np.array(labels), "worse_label": np.array(wrong)}
    torch.save(human, tmp_path / "CIFAR-10_human.pt")
    images.cifar10n(tmp_path, tmp_path / "cifar10n-features", lambda x: x[:, 0, 0, :2])
    found = arrays(tmp_path / "cifar10n-features", "worst")
    assert names(found, "truth")[:3] == ["c0", "c0", "c1"] and len(found.x) == 30
    assert names(found, "observed")[:3] == ["c1", "c1", "c2"]


def test_labels_files_are_not_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"clean_label": Evil()}, tmp_path / "CIFAR-10_human.pt")
    with pytest.raises(pickle.UnpicklingError):
        images._human_labels(tmp_path / "CIFAR-10_human.pt")


def test_what_is_missing_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"there is no 'letter-recognition.data'; needed"):
        convert("letter", tmp_path, tmp_path)
    with pytest.raises(UserError, match="data 'lettre': there are banking77, "):
        convert("lettre", tmp_path, tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        convert("letter", tmp_path / "nowhere", tmp_path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match="pip install sentence-transformers"):
        sentence_vectors(["a"])
