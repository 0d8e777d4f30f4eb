"""A table with texts beside other columns: an encoder makes features of them."""

import io

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipelines.data.columns import Column
from pipelines.data.conversion import Conversion
from pipelines.data.encoders import encoder_named
from pipelines.data.loading import load_dataset
from pipelines.data.proposal import propose
from pipelines.data.survey import summary, survey
from pipelines.data.task import prepare
from pipelines.prediction.predictor import load_predictor
from pipelines.study.protocol import Data
from pipelines.study.study_file import parse_study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import run_trial
from tests.support.data_files import assert_refused
from tests.support.own_encoders import own_encoders

TEXTS = [
    "the handle broke after one week of use",
    "does what it says, and it was cheap",
    None,
    "never again: it arrived late and in pieces",
]
RULES = {"price": "impute", "review": "words", "country": "one_hot"}


@pytest.fixture
def mine(monkeypatch):
    """A module with an encoder, whose calls are counted."""
    return own_encoders(monkeypatch)


def reviews(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "price": np.where(rng.random(n) < 0.1, np.nan, rng.integers(5, 90, n)),
            "review": TEXTS * (n // 4),
            "country": rng.choice(["de", "fr", "it"], n),
            "label": ["bad", "good"] * (n // 2),
        }
    )


def data(folder, rule="words", frame=None) -> Data:
    (reviews() if frame is None else frame).to_csv(folder / "t.csv", index=False)
    return Data(source="table", path=folder / "t.csv", columns=RULES | {"review": rule})


def test_a_text_column_has_its_encoders_features_in_its_place(tmp_path):
    dataset = load_dataset(data(tmp_path))
    assert dataset.x.shape == (120, 1 + 1024 + 1)
    expected = encoder_named("words", ())([text or "" for text in TEXTS])
    np.testing.assert_array_equal(dataset.x[:4, 1:-1], np.float32(expected))
    assert not dataset.x[2, 1:-1].any()  # an empty cell is an empty text


def test_features_of_texts_come_last_and_as_they_are():
    columns = (
        Column("review", "text", encoder="words", width=2),
        Column("a"),
        Column("plan", "one_hot", values=("p", "q")),
    )
    rows = np.float32([[0.1, 0.2, 5, 1], [0.3, 0.4, 6, 0]])
    conversion = Conversion.fit(columns, rows)
    expected = np.float32([[5, 0, 1, 0.1, 0.2], [6, 1, 0, 0.3, 0.4]])
    np.testing.assert_array_equal(conversion(rows), expected)
    again = Conversion.from_state(conversion.state())
    assert again.columns == columns
    np.testing.assert_array_equal(again(rows), expected)


def test_a_column_is_encoded_once_by_its_content_and_by_its_encoder(tmp_path, mine):
    first = load_dataset(data(tmp_path, "my_encoders:lengths"))
    assert first.x[0].tolist()[1:3] == [38, 3] and mine.calls == 1
    priced = reviews().assign(price=1.0)
    other = load_dataset(data(tmp_path, "my_encoders:lengths", priced))
    assert mine.calls == 1 and other.fingerprint != first.fingerprint
    changed = reviews().assign(review=[f"{text}!" for text in TEXTS * 30])
    third = load_dataset(data(tmp_path, "my_encoders:lengths", changed))
    assert mine.calls == 2 and third.fingerprint != first.fingerprint
    assert load_dataset(data(tmp_path)).fingerprint != first.fingerprint


def test_rounding_of_features_is_no_other_data(tmp_path, mine, monkeypatch):
    """As from one processor to another."""
    first = load_dataset(data(tmp_path, "my_encoders:lengths"))
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "elsewhere"))
    exact = mine.lengths
    mine.lengths = lambda texts: np.array(exact(texts)) * (1 + 1e-6)
    other = load_dataset(data(tmp_path, "my_encoders:lengths"))
    assert (other.x != first.x).any() and other.fingerprint == first.fingerprint


def test_a_table_without_texts_has_the_fingerprint_that_it_had(tmp_path):
    """Of commit 4f9b34f."""
    frame = pd.DataFrame({"a": [0.5, 1.5, None], "b": [*"pqp"], "label": [*"xyx"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    rules = {"a": "impute", "b": "one_hot"}
    dataset = load_dataset(Data(source="table", path=tmp_path / "t.csv", columns=rules))
    assert dataset.fingerprint == "9d7504c25adedaac1e65bf1509d78117c820faa02504b2fa4ff945fa16d203ff"


@pytest.mark.parametrize("encoder", ["words", "my_encoders:lengths"])
def test_a_saved_model_takes_the_table_and_predicts_what_the_trial_did(encoder, tmp_path, mine):
    protocol = {
        "data": data(tmp_path, encoder).model_dump(mode="json"),
        "splits": {"meta": 4, "val": 4, "test": 40},
        "model": {"name": "mlp", "options": {"hidden": [4]}},
        "schedule": {"epochs": 2, "lr": 0.05},
    }
    study = parse_study({"name": "t", "protocol": protocol, "request": {"arms": ["ce"]}}, "t")
    spec = TrainingSpec(study.protocol, tuple(study.arm("ce").resolve({})), 1, 2)
    *_, (_, _, snapshot) = run_trial(spec)
    model = load_predictor(io.BytesIO(artifacts(spec, snapshot())["model.pt"]))
    task = prepare(study.protocol, 1)
    frame = pd.read_csv(tmp_path / "t.csv")
    expected = model.of_stored(task.test.x).numpy()
    given = model.probabilities(frame.iloc[task.test.index.numpy(), ::-1])
    np.testing.assert_allclose(given, expected, rtol=1e-5)
    assert model.predict(tmp_path / "t.csv") == model.predict(frame)
    assert ("my_encoders" in spec.modules) == (encoder != "words")


@pytest.mark.parametrize(
    "rule",
    ["text", "bert", {"timm": "resnet18"}, {"transformers": "bert"}, {"sentence_transformers": ""}],
)
def test_what_is_no_encoder_of_texts_is_refused(rule, tmp_path):
    with pytest.raises(ValidationError, match="or of texts words, "):
        data(tmp_path, rule)


def test_an_encoder_that_fails_is_named(tmp_path, mine):
    assert_refused(data(tmp_path, "my_encoders:nothing"), "has no 'nothing'")
    mine.lengths = lambda texts: [1.0 for _ in texts]
    assert_refused(data(tmp_path, "my_encoders:lengths"), "encoder 'my_encoders:lengths': gives")


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ([f"review number {n} of a very good book" for n in range(60)], "words"),
        ([f"review number {n % 40} of a very good book" for n in range(60)], "words"),
        ([f"Mr. Tom {n} Smith" for n in range(60)], "drop"),
        ([f"one of {n % 5} answers in a short list" for n in range(60)], "one_hot"),
    ],
)
def test_texts_are_told_from_names_and_from_categories(cells, rule):
    assert propose("review", pd.Series(cells)).rule == rule


def test_new_takes_texts_beside_other_columns_for_features(tmp_path):
    frame = reviews()
    frame["review"] = [f"{text} {n}" for n, text in enumerate(TEXTS * 30)]
    frame.to_csv(tmp_path / "t.csv", index=False)
    seen = survey(tmp_path / "t.csv")
    assert seen.data.columns == RULES
    assert seen.look.reasons["review"] == (
        "texts of 7 words on average, hashed; docs/data.md has other encoders"
    )
    assert dict(summary(seen))["input"] == "3 columns"


def test_new_takes_two_columns_of_texts_for_features(tmp_path):
    frame = pd.DataFrame({"label": ["bad", "good"] * 30})
    for name in ("title", "body"):
        frame[name] = [f"{name} number {n} of a very good book" for n in range(60)]
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert survey(tmp_path / "t.csv").data.columns == {"title": "words", "body": "words"}
