"""A saved model predicts for inputs as people have them what the trial predicted for its own."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipelines.data.loading import load_dataset
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.metrics import evaluate
from pipelines.prediction.predictor import Predictor, load_predictor
from pipelines.study.protocol import Data
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import run_trial
from tests.conftest import training_spec, under


def finished(spec) -> tuple[dict, Predictor]:
    """What a trial's test said, and its model."""
    *_, last = run_trial(spec)
    assert last.result is not None
    file = io.BytesIO(artifacts(spec, last.snapshot())["model.pt"])
    return last.result["held_out"]["last"], load_predictor(file)


# ---- tables


RULES = {
    "id": "drop",
    "age": "impute",
    "plan": "one_hot",
    "since": "date",
    "risk": {"ordinal": ["low", "high"]},
    "active": "boolean",
}


def customers(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    active = rng.random(n) < 0.5
    frame = pd.DataFrame(
        {
            "id": [f"C{i}" for i in range(n)],
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 80, n)),
            "plan": rng.choice(["basic", "pro", None], n),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "risk": rng.choice(["low", "high"], n),
            "active": active,
            "label": np.where(active ^ (rng.random(n) < 0.1), "stays", "goes"),
        }
    )
    return frame.assign(since=frame["since"].dt.strftime("%Y-%m-%d"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A trial on a table: spec, file, what its test said, its model."""
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNTUNED_CACHE", str(folder / "cache"))
        customers().to_csv(folder / "t.csv", index=False)
        data = Data(source="table", path=folder / "t.csv", columns=RULES).model_dump(mode="json")
        spec = under(
            training_spec("ce"),
            {"data": data, "noise.kind": "symmetric", "noise.rate": 0.1}
            | {"splits.test": 100, "splits.val": 20, "splits.meta": 20, "schedule.epochs": 10},
        )
        return spec, folder / "t.csv", *finished(spec), prepare(spec.protocol, spec.data_seed)


def test_a_raw_table_is_predicted_as_the_trial_did(table):
    _, path, said, model, task = table
    rows = task.test.index.numpy()
    probabilities = model.probabilities(pd.read_csv(path))
    assert probabilities.shape == (300, 2)
    again = evaluate(torch.from_numpy(probabilities[rows]), task.test.y)
    assert again == {name: said[name] for name in again}  # to the last bit
    assert again["accuracy"] > 0.65
    names = model.predict(path)
    assert [model.classes.index(name) for name in names] == probabilities.argmax(axis=1).tolist()
    assert model.predict(customers().iloc[:, ::-1]) == names
    assert torch.equal(model.stored(path)[rows], task.test.x)


def test_columns_that_are_not_used_may_be_missing_and_those_that_are_may_not(table):
    model, frame = table[3], customers()
    assert model.predict(frame.drop(columns=["id", "label"])) == model.predict(frame)
    with pytest.raises(
        UserError, match=r"the DataFrame: no column 'plan'; it has .*; the model ta"
    ):
        model.predict(frame.drop(columns="plan"))


def test_a_category_that_was_never_seen_and_an_empty_cell_are_predicted(table):
    model, frame = table[3], customers()
    odd = frame.assign(plan="enterprise", active=None, since=None)
    assert set(model.predict(odd)) <= {"goes", "stays"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            np.zeros((2, 5)),
            "ndarray: the model takes a DataFrame, or a .csv or .parquet file, with",
        ),
        ("nowhere.csv", "nowhere.csv: there is no such file"),
        (customers().assign(active="perhaps"), r"the DataFrame: row 0, column 'active' is 'perha"),
        (customers().assign(age="old"), r"row 0, column 'age' is 'old': by its rule \(impute\)"),
    ],
)
def test_what_is_no_table_of_these_columns_is_refused_in_one_line(table, inputs, message):
    with pytest.raises(UserError, match=message) as refusal:
        table[3].predict(inputs)
    assert "\n" not in str(refusal.value)


def test_features_that_were_numbers_are_taken_as_an_array_or_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    frame.assign(label=rng.choice(["x", "y"], 200)).to_csv(tmp_path / "t.csv", index=False)
    data = Data(source="table", path=tmp_path / "t.csv").model_dump(mode="json")
    splits = {"splits.test": 50, "splits.val": 10, "splits.meta": 10}
    model = finished(under(training_spec("ce"), {"data": data} | splits))[1]
    by_name = model.predict(frame[["c", "b", "a"]])
    assert model.predict(frame.to_numpy()) == model.predict(frame.to_numpy().tolist()) == by_name
    assert model.predict(frame.to_numpy()[0]) == by_name[:1]
    with pytest.raises(UserError, match=r"\(200, 2\): the model takes rows of 3 finite numbers"):
        model.predict(frame.to_numpy()[:, :2])
    with pytest.raises(UserError, match="takes rows of 3 finite numbers"):
        model.predict([np.nan, 1, 2])


# ---- images


@pytest.fixture(scope="module")
def photos():
    """A colour and a grey model of 6 x 8 images, without training."""
    models = []
    for channels in (3, 1):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48 * channels, 3))
        mean = torch.full((channels, 1, 1), 120.0)
        shape = (channels, 6, 8)
        models.append(Predictor(network, mean, mean / 2, ["cat", "dog", "eel"], shape).eval())
    return models


def picture(seed: int = 0, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_a_file_an_image_and_an_array_of_one_picture_are_the_same(photos, tmp_path):
    model, pixels = photos[0], picture()
    Image.fromarray(pixels).save(tmp_path / "p.png")
    image, file = Image.fromarray(pixels), tmp_path / "p.png"
    first = pixels.transpose(2, 0, 1)
    expected = model.probabilities(first)
    assert expected.shape == (1, 3)
    forms = [file, str(file), image, pixels, first[None], torch.from_numpy(first.copy()), [file]]
    forms += [first.astype(float), first.astype(np.int64), pixels[None]]
    for form in forms:
        assert np.array_equal(model.probabilities(form), expected), type(form)
    mixed = model.predict([file, image, pixels])
    assert mixed == model.predict(file) * 3 and mixed[0] in model.classes


def test_images_of_any_size_and_colour_become_what_the_model_takes(photos):
    model, grey = photos
    large = Image.fromarray(picture(size=(60, 80)))
    resized = np.asarray(large.resize((8, 6), Image.Resampling.BILINEAR))
    assert np.array_equal(model.probabilities(large), model.probabilities(resized))
    assert np.array_equal(model.probabilities(large), model.probabilities(np.asarray(large)))
    for mode in ("L", "RGBA", "CMYK", "P", "1"):
        assert (
            len(model.predict(large.convert(mode))) == len(grey.predict(large.convert(mode))) == 1
        )
    batch = np.stack([picture(k)[:, :, 0] for k in range(5)])  # [N, H, W]
    assert len(grey.predict(batch)) == 5 and len(grey.predict(batch[0])) == 1


def test_an_image_is_turned_as_its_exif_says(photos, tmp_path):
    exif = Image.Exif()
    exif[274] = 3  # upside down
    pixels = picture()
    Image.fromarray(pixels).save(tmp_path / "t.png", exif=exif)
    expected = photos[0].probabilities(pixels[::-1, ::-1].copy())
    assert np.array_equal(photos[0].probabilities(tmp_path / "t.png"), expected)
    with Image.open(tmp_path / "t.png") as image:
        assert np.array_equal(photos[0].probabilities(image), expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (picture() / 255, r"images from 0.* to 0.97.* \(float64\).*; were they divided by 255\?"),
        ([picture() / 255.0, picture()], "images from 0 .*; were they divided by 255"),
        (picture(size=(5, 5)).astype(float), r"an array \(5, 5, 3\) of float64: the model takes"),
        ("nowhere.png", "nowhere.png: there is no such file"),
        ([], "there is no image among the inputs"),
        (7, "int is no image: must be a path"),
        (Image.new("I;16", (8, 6)), "mode I;16, where 8 bits per channel are needed"),
    ],
)
def test_what_would_be_another_picture_is_refused_in_one_line(photos, inputs, message):
    with pytest.raises(UserError, match=message) as refusal:
        photos[0].predict(inputs)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_image_is_named(photos, tmp_path):
    (tmp_path / "n.png").write_text("no")
    with pytest.raises(UserError, match=r"n\.png: no image in a known format"):
        photos[0].predict(tmp_path / "n.png")


# ---- what makes the probabilities


@pytest.mark.parametrize("arm", ["ce", "bi_tempered", "coteaching", "mw_net"])
def test_probabilities_are_the_trials_own_to_the_last_bit(arm):
    spec = training_spec(arm)
    said, model = finished(spec)
    test = prepare(spec.protocol, spec.data_seed).test
    again = evaluate(torch.from_numpy(model.probabilities(test.x)), test.y)
    assert again == {name: said[name] for name in again}
    assert len(model(test.x[:2])) == 2 and not model.network.training


# ---- networks of timm


@pytest.mark.slow
def test_a_network_of_timm_that_was_trained_further_comes_from_its_file_alone(
    tmp_path, monkeypatch
):
    from tests.support import timm_weights  # timm takes seconds

    timm_weights.as_downloaded(timm_weights.network(), tmp_path / "hub", monkeypatch)
    options = {"timm": timm_weights.NAME, "layer_decay": 0.7}
    model = {"name": "pretrained", "options": options}
    spec = under(training_spec("ce"), {"data.normalise": "none", "model": model})
    *_, last = run_trial(spec)
    saved = io.BytesIO(artifacts(spec, last.snapshot())["model.pt"])
    (tmp_path / "hub").rename(tmp_path / "gone")
    network, test = load_predictor(saved), prepare(spec.protocol, spec.data_seed).test
    images = load_dataset(Data()).x[test.index.numpy()]
    again = evaluate(torch.from_numpy(network.probabilities(images)), test.y)
    assert last.result and again == {name: last.result["held_out"]["last"][name] for name in again}
