"""Texts and images become features by an encoder that runs once, and again for predictions."""

import io
import json
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from pipelines.data import encoding as module
from pipelines.data.encoders import encoder_named, features_before_the_head
from pipelines.data.encoding import encoded
from pipelines.data.loading import load_dataset
from pipelines.data.survey import survey
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.prediction.predictor import load_predictor
from pipelines.study.protocol import Data, protocol_hash
from pipelines.study.study_file import parse_study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import run_trial
from tests.support.own_encoders import own_encoders

TEXTS = ["who wrote this", "where is it found", "who paid for it", "where do they live"]


@pytest.fixture
def mine(monkeypatch):
    """A module with encoders, whose calls are counted."""
    own = own_encoders(monkeypatch)
    own.means = lambda images: torch.from_numpy(images).float().mean(dim=(2, 3))
    own.flat = lambda texts: [1.0 for _ in texts]
    own.infinite = lambda texts: [[np.inf] for _ in texts]
    own.failing = lambda texts: 1 / 0
    own.uneven = lambda texts: np.ones((len(texts), len(texts)))
    return own


def written(folder, n=40, suffix="csv"):
    frame = pd.DataFrame({"text": TEXTS * (n // 4), "label": ["who", "where"] * (n // 2)})
    path = folder / f"texts.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_csv(path, index=False)
    return path


def data(path, encoder="words", **options):
    return Data(source="text", path=path, encoder=encoder, **options)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_texts_become_what_a_function_makes_of_them(suffix, tmp_path, mine):
    dataset = load_dataset(data(written(tmp_path, suffix=suffix), "my_encoders:lengths"))
    assert dataset.x[:2].tolist() == [[14, 2], [17, 1]] and dataset.x.dtype == np.float32
    assert dataset.classes == ["where", "who"] and dataset.observed[:2].tolist() == [1, 0]


def test_they_are_encoded_once_and_anew_where_texts_or_encoder_change(tmp_path, mine):
    path = written(tmp_path)
    first = load_dataset(data(path, "my_encoders:lengths"))
    again = load_dataset(data(path, "my_encoders:lengths"))
    assert mine.calls == 1 and again.fingerprint == first.fingerprint
    path.write_text(path.read_text().replace("who wrote this", "who wrote that"))
    other = load_dataset(data(path, "my_encoders:lengths"))
    assert mine.calls == 2 and other.fingerprint != first.fingerprint
    assert load_dataset(data(path)).fingerprint != other.fingerprint


def test_images_are_encoded_as_they_are_stored(mine):
    plain = load_dataset(Data())
    dataset = encoded(plain, "my_encoders:means")
    np.testing.assert_allclose(dataset.x[:, 0], plain.x[:, 0].mean(axis=(1, 2)), rtol=1e-6)
    assert dataset.encoding and dataset.encoding.shape == (1, 8, 8)


def test_long_sources_are_encoded_in_blocks(tmp_path, mine, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    dataset = load_dataset(data(written(tmp_path), "my_encoders:lengths"))
    assert mine.calls == 3 and len(dataset.x) == 40


def test_words_tell_texts_apart_and_keep_the_angles_between_them(tmp_path):
    x = load_dataset(data(written(tmp_path))).x[:4].astype(float)
    assert x.shape == (4, 1024)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    angles = unit @ unit.T
    assert angles[0, 2] > 0.08 and abs(angles[0, 1]) < 0.15  # of 5 terms, one is shared


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("flat", r"gives \[40\] for 40 inputs, a row of numbers for each is needed"),
        ("infinite", "gives numbers that are not finite"),
        ("failing", "fails with ZeroDivisionError: division by zero"),
        ("uneven", "rows of different lengths"),
        ("nothing", "has no 'nothing'"),
    ],
)
def test_an_encoder_that_gives_no_features_is_named(encoder, said, tmp_path, mine, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 40 if encoder != "uneven" else 32)
    with pytest.raises(UserError, match=said):
        load_dataset(data(written(tmp_path), f"my_encoders:{encoder}"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "words"}, r"data.text = 'words': .* has the columns text, label"),
        ({"text": "label"}, "is the label's column, too"),
        ({"encoder": None}, "data.encoder is missing"),
        ({"encoder": {"torchvision": "resnet18"}}, "is for images, which the source has none of"),
        ({"encoder": {"timm": "x"}, "target": "nobody"}, "data.target = 'nobody'"),
    ],
)
def test_what_does_not_fit_is_refused(given, said, tmp_path):
    with pytest.raises(UserError, match=said):
        load_dataset(data(written(tmp_path)).model_copy(update=given))


def test_an_empty_text_a_table_and_an_unknown_encoder_are_refused(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text().replace("who wrote this", " ", 1))
    with pytest.raises(UserError, match="row 0 of column 'text' is ' ': no text"):
        load_dataset(data(path))
    table = tmp_path / "table.csv"
    table.write_text("a,label\n1,x\n2,y\n")
    with pytest.raises(UserError, match="a table has columns for features"):
        load_dataset(Data(source="table", path=table, encoder="words"))
    with pytest.raises(UserError, match="is for texts"):
        load_dataset(Data(encoder="words"))
    with pytest.raises(ValueError, match="must be words, module:function"):
        Data(encoder="bert")


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match="pip install sentence-transformers"):
        load_dataset(data(written(tmp_path), {"sentence_transformers": "all-MiniLM-L6-v2"}))


def test_sentence_transformers_are_called_by_name(tmp_path, monkeypatch):
    class Model:
        def __init__(self, name, device):
            assert (name, device) == ("some/folder", "cpu")

        def encode(self, texts, show_progress_bar):
            return np.array([[len(text), 1.0] for text in texts])

    package = types.ModuleType("sentence_transformers")
    package.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    dataset = load_dataset(data(written(tmp_path), {"sentence_transformers": "some/folder"}))
    assert dataset.x[0].tolist() == [14, 1]


def test_grey_images_go_through_a_torchvision_model_as_it_was_trained(monkeypatch):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: model)
    images = np.full((2, 1, 8, 8), 255, np.uint8)
    features = encoder_named({"torchvision": "resnet18"}, (1, 8, 8))(images)
    mean, std = (torch.tensor(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(features, ((1 - mean) / std).expand(2, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_images_go_through_a_timm_model_as_it_was_trained(tmp_path, monkeypatch):
    """What timm itself gives of the same files."""
    import timm  # 4 s

    from tests.support import timm_weights as weights

    network = weights.network()
    weights.as_downloaded(network, tmp_path, monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 40, 60), np.uint8)
    features = encoder_named({"timm": weights.NAME}, (3, 40, 60))(images)
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.no_grad():
        files = [Image.fromarray(image) for image in images.transpose(0, 2, 3, 1)]
        seen = torch.stack([transform(file) for file in files])
        expected = network.forward_head(network.forward_features(seen), pre_logits=True)
    assert expected.shape == features.shape == (3, 96)
    torch.testing.assert_close(features, expected, rtol=0.02, atol=0.02)  # Pillow rounds otherwise
    grey = encoder_named({"timm": weights.NAME}, (1, 40, 60))(images[:, :1])
    assert grey.shape == (3, 96)


@pytest.mark.slow
def test_other_weights_in_the_same_folder_are_another_encoder(tmp_path):
    from tests.support import timm_weights as weights

    plain, folder = load_dataset(Data()), tmp_path / "mine"
    plain = replace(plain, x=plain.x[:8])
    encoder = {"timm": weights.in_a_folder(weights.network(), folder)}
    first = encoded(plain, encoder)
    weights.in_a_folder(weights.network(), folder)
    other = encoded(plain, encoder)
    assert first.fingerprint != other.fingerprint and not np.allclose(first.x, other.x)


def test_a_torchvision_models_features_are_what_its_last_linear_layer_gets():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    features = features_before_the_head(model)
    x = torch.randn(5, 1, 2, 2)
    torch.testing.assert_close(features(x), model[:3](x))


def study_of(path, encoder):
    protocol = {
        "data": {"source": "text", "path": str(path), "encoder": encoder},
        "splits": {"meta": 4, "val": 4, "test": 8},
        "model": {"name": "mlp", "options": {"hidden": [4]}},
        "schedule": {"epochs": 2, "lr": 0.05},
    }
    return parse_study({"name": "t", "protocol": protocol, "request": {"arms": ["ce"]}}, "t")


@pytest.mark.parametrize("encoder", ["words", "my_encoders:lengths"])
def test_a_saved_model_takes_texts_and_predicts_what_the_trial_did(encoder, tmp_path, mine):
    study = study_of(written(tmp_path), encoder)
    spec = TrainingSpec(study.protocol, tuple(study.arm("ce").resolve({})), 1, 2)
    *_, (_, _, snapshot) = run_trial(spec)
    model = load_predictor(io.BytesIO(artifacts(spec, snapshot())["model.pt"]))
    task = prepare(study.protocol, 1)
    texts = [(TEXTS * 10)[row] for row in task.test.index]
    expected = model.of_stored(task.test.x).numpy()
    np.testing.assert_allclose(model.probabilities(texts), expected, rtol=1e-5)
    assert model.predict(texts[0]) == model.predict(texts[:1])
    with pytest.raises(UserError, match="the model takes texts"):
        model.predict([1.0])


def test_the_encoder_is_part_of_a_studys_identity_and_its_module_of_a_trials(tmp_path, mine):
    study = study_of(written(tmp_path), "my_encoders:lengths")
    spec = TrainingSpec(study.protocol, tuple(study.arm("ce").resolve({})), 1, 2)
    assert "my_encoders" in spec.modules
    prints = {load_dataset(data(written(tmp_path), e)).fingerprint
              for e in ("words", "my_encoders:lengths")}  # fmt: skip
    assert len({protocol_hash(study.protocol, fingerprint) for fingerprint in prints}) == 2


def test_a_table_whose_one_feature_is_text_is_seen_as_texts(tmp_path):
    rows = range(60)
    frame = pd.DataFrame(
        {
            "id": [f"q{row:03}" for row in rows],
            "part": ["train", "test"] * 30,
            "question": [f"who wrote book number {row} of this shelf" for row in rows],
            "class": ["a", "b", "c"] * 20,
        }
    )
    frame.to_csv(tmp_path / "questions.csv", index=False)
    seen = survey(tmp_path / "questions.csv")
    assert (seen.data.source, seen.data.text, seen.data.target) == ("text", "question", "class")
    assert seen.data.encoder == "words" and seen.dataset.x.shape == (60, 1024)
    frame["pages"] = np.arange(60) % 7 * 10.5
    frame.to_csv(tmp_path / "more.csv", index=False)
    assert survey(tmp_path / "more.csv").data.source == "table"


def test_the_label_is_guessed_where_it_is_called_otherwise(tmp_path):
    frame = pd.DataFrame({"size": np.arange(40) * 1.5, "churned": ["yes", "no"] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    seen = survey(tmp_path / "t.csv")
    assert seen.data.target == "churned" and ("label" in dict(seen.look.notes))
