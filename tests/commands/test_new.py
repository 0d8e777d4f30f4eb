"""A study file for a person's own data: what is seen, what is chosen, and that it runs."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.commands.launch import rehearsal
from pipelines.commands.new import choices, new_study
from pipelines.data.survey import summary, survey
from pipelines.errors import UserError
from pipelines.execution.preflight import check
from pipelines.study.study_file import load_study
from tests.commands.test_commands import LAUNCH, run


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(folder: Path, sizes: dict[str, int], shape=(12, 12), seed=0) -> Path:
    """A folder of random colour images; sizes: their number by class."""
    rng = np.random.default_rng(seed)
    for name, count in sizes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    return folder


def arrays(file: Path, counts: list[int], shape=(12, 12)) -> Path:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(counts)), counts)
    x = rng.integers(0, 256, (len(y), *shape), dtype=np.uint8)
    np.savez(file, x=x + 0, y=y)
    return file


def chosen(path: Path, **more):
    return choices(survey(path, **more))


def test_what_is_seen_of_a_folder(place):
    root = images(place / "pets", {"cat": 30, "dog": 10})
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / "copy.png").write_bytes((root / "cat" / "000.png").read_bytes())
    (root / "dog" / "copy.png").write_bytes((root / "cat" / "000.png").read_bytes())
    seen = survey(root)
    assert seen.counts == [31, 11] and seen.data.size is None
    [(name, left_out)] = seen.look.notes
    assert name == "left out" and left_out.startswith("1 .txt; images are .jpg, .jpeg, .png, ")
    assert seen.duplicates == (2, 0, 1)  # copies: one of them is called a dog
    assert seen.imbalance == pytest.approx(31 / 11)
    assert seen.look.image_sizes == {(12, 12): 42}
    shown = dict(summary(seen))
    assert shown["classes"] == "2: cat, dog" and shown["input"] == "colour images, 12 x 12"
    assert shown["smallest, largest"] == "dog (11), cat (31): 2.8 to 1"


def test_duplicates_across_the_test_set_are_told(place):
    root = images(place / "pets/train", {"cat": 20, "dog": 20}).parent
    images(root / "test", {"cat": 5, "dog": 5}, seed=1)
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/003.png").read_bytes())
    file, seen = new_study("pets", root)
    assert (seen.duplicates.number, seen.duplicates.across) == (1, 1)
    assert "occur both in training and in test set: 1." in file.read_text()
    assert load_study("pets.yaml").protocol.splits.test is None


@pytest.mark.parametrize(
    ("shapes", "side"),
    [([(12, 12)], None), ([(40, 60), (70, 50)], 32), ([(300, 200), (180, 500)], 128)],
)
def test_images_of_several_or_large_sizes_are_resized(place, shapes, side):
    for i, shape in enumerate(shapes):
        images(place / "pets", {f"cat{i}": 5, f"dog{i}": 5}, shape)
    assert survey(place / "pets").data.size == side


def test_the_metric_follows_the_imbalance(place):
    assert chosen(arrays(place / "a.npz", [50, 50]))["metric"] == "accuracy"
    assert chosen(arrays(place / "b.npz", [90, 30]))["metric"] == "balanced_accuracy"


@pytest.mark.parametrize(
    ("counts", "shape", "small", "test"),
    [
        ([900, 900], (12, 12), 90, 360),  # a twentieth
        ([150, 150], (12, 12), 20, 60),  # ten examples of each class
        ([6, 40], (12, 12), 4, 9),  # a tenth of all
        ([5, 5, 5], (12, 12), 3, 3),  # one of each class
        ([30_000, 30_000], (2, 2), 1000, 10_000),  # at most 1,000
    ],
)
def test_the_splits_fit_the_data_and_its_smallest_class(place, counts, shape, small, test):
    file = arrays(place / "a.npz", counts, shape)
    choice = chosen(file)
    assert (choice["small"], choice["test"]) == (small, test)
    check(load_study(str(new_study("a", file)[0])))


@pytest.mark.parametrize(("side", "model"), [(12, "mlp"), (16, "cnn"), (64, "cnn")])
def test_the_model_follows_the_size_of_the_images(place, side, model):
    assert chosen(arrays(place / "a.npz", [20, 20], (side, side)))["model"] == model


def test_little_data_is_seen_more_often(place):
    little = chosen(arrays(place / "a.npz", [20, 20]))
    much = chosen(arrays(place / "b.npz", [9000, 9000], (2, 2)))
    assert little["epochs"] > 60 == much["epochs"] and little["batch_size"] < much["batch_size"]


def test_a_folder_with_labels_launches(place, capsys):
    root = images(place / "my pets", {"cat's": 20, "dog": 20})
    with (place / "crowd.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["path", "first", "second"])
        table.writerows([[f"dog/{i:03}.png", "dog", "cat's"] for i in range(10)])
    words = ("new", "pets", "--data", root, "--labels", place / "crowd.csv")
    assert run(*words) == 2  # either may be meant
    assert "the labels? It has first, second: --label-column names it" in capsys.readouterr().err
    assert run(*words, "--label-column", "second") == 0
    said = capsys.readouterr().out
    assert "changes 25.0% of the labels" in said
    assert "untuned launch pets.yaml --quick" in said
    study = load_study("pets.yaml")
    assert study.protocol.data.labels.label == "second"
    assert 'path: "my pets"' in Path("pets.yaml").read_text()
    assert study.protocol.splits.val_labels == "clean"
    words = ("--quick", "--arms", "ce,l2rw", "--seeds", "1", "--repeats", "1")
    assert run("launch", "pets.yaml", *words, "--storage", place / "runs", *LAUNCH) == 0
    assert (place / "runs" / "report.html").exists()


def test_a_table_launches(place):
    rng = np.random.default_rng(0)
    rows = [[*rng.normal(size=2).round(3), kind] for kind in ("a", "b", "b", "b") * 15]
    with (place / "t.csv").open("w") as file:
        csv.writer(file).writerows([["u", "v", "kind"], *rows])
    _, seen = new_study("table", place / "t.csv", target="kind")
    study = rehearsal(load_study("table.yaml"), {})
    assert study.protocol.metric == "balanced_accuracy" and "focal" in study.request.arms
    assert study.protocol.model.name == "mlp" and dict(summary(seen))["input"] == "2 numbers"
    check(study)


def test_letters_of_all_languages_stay_readable_in_the_study_file(place):
    """And what YAML or a line cannot hold as it is, is the same when it is read again."""
    names = ["größe", "naïve & 'co'", "字 \u2028", "sé\x85", "\U0001f4f7"]
    rows = [[*range(i, i + 4), n] for n in ("ja", "nein") for i in range(20)]
    with (place / "Müller & Söhne.csv").open("w", encoding="utf-8") as file:
        csv.writer(file).writerows([[*names], *rows])
    new_study("table", place / "Müller & Söhne.csv", target=names[4])
    text = Path("table.yaml").read_text(encoding="utf-8")
    assert 'path: "Müller & Söhne.csv"' in text and f'target: "{names[4]}"' in text
    assert load_study("table.yaml").protocol.data.target == names[4]


def test_a_rehearsal_keeps_what_was_asked_for():
    request = rehearsal(load_study("digits"), {"trials": 4, "arms": ["ce"]}).request
    assert (request.trials, request.repeats, request.seeds) == (4, 1, 1)


def test_a_file_that_exists_is_not_touched(place):
    data = arrays(place / "a.npz", [20, 20])
    (place / "mine.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"mine\.yaml: exists already"):
        new_study("mine", data)
    assert (place / "mine.yaml").read_text() == "mine"


def broken_image(root: Path) -> None:
    (root / "cat" / "001.png").write_bytes(b"no image")


def small_class(root: Path) -> None:
    images(root, {"eel": 4})


def odd_labels(root: Path) -> None:
    (root.parent / "labels.csv").write_text("path,label\ncat/000.png,fish\n")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (broken_image, "1 of 40 images cannot be read: cat/001.png (no image in a known format)"),
        (small_class, "class 'eel': has 4 examples by observed label; 5 are needed"),
        (odd_labels, "label 'fish': allowed are cat, dog"),
    ],
)
def test_data_that_cannot_be_used_leaves_no_file(place, harm, message, capsys):
    root = images(place / "pets", {"cat": 20, "dog": 20})
    harm(root)
    labels = ["--labels", place / "labels.csv"] * (place / "labels.csv").exists()
    assert run("new", "pets", "--data", root, *labels) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]  # after the progress of decoding
    assert not (place / "pets.yaml").exists()


@pytest.mark.parametrize("name", ["digits", "a/b c", ".hidden"])
def test_a_name_that_cannot_be(place, name):
    with pytest.raises(UserError, match="a name has"):
        new_study(name, arrays(place / "a.npz", [20, 20]))


def test_nothing_at_the_path(place, capsys):
    assert run("new", "pets", "--data", place / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
