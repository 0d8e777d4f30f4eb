"""The ranking of suspect labels: its arithmetic; whether it finds the wrong labels of digits."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.data.dataset import make_dataset
from pipelines.errors import UserError
from pipelines.report.study_report import study_report
from pipelines.report.study_state import load_study_state
from pipelines.suspects import predictions, ranking
from pipelines.suspects.contact_sheet import contact_sheet, evidence, to_csv, write_suspects
from pipelines.suspects.ranking import Suspect, Suspects, count_wrong, find_suspects
from pipelines.suspects.scores import margins, ranking_quality
from tests.commands.test_commands import run
from tests.conftest import small_study

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
ARMS = ("ce", "clean_only", "l2rw")


def test_the_score_is_the_margin_by_which_the_given_label_loses():
    score, other = margins(P, np.array([0, 0, 2]))
    assert score == pytest.approx([0.2 - 0.7, 0.8 - 0.1, 0.4 - 0.3])
    assert other.tolist() == [1, 2, 1]


def test_auroc_and_precision_of_a_ranking_agree_with_a_count_by_hand():
    # Ranked: wrong, right, wrong, right: of the four pairs (wrong, right) three are in order.
    quality = ranking_quality(np.array([0.4, 0.9, 0.1, 0.6]), np.array([True, True, False, False]))
    assert quality == {"auroc": pytest.approx(3 / 4), "precision_at_all": 0.5}


def test_precision_at_50_and_100_is_told_where_there_are_as_many_examples():
    scores, wrong = np.arange(120.0), np.arange(120) >= 60
    quality = ranking_quality(scores, wrong)
    assert quality["precision_at_50"] == 1
    assert quality["precision_at_100"] == pytest.approx(60 / 100)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Digits with 40 % of the training labels flipped; two repeats, two seeds."""
    folder = tmp_path_factory.mktemp("suspects")
    study = small_study(ARMS, trials=0, repeats=2, seeds=2)
    schedule = study.protocol.schedule.model_copy(update={"epochs": 30})
    protocol = study.protocol.model_copy(update={"schedule": schedule})
    study = study.model_copy(update={"protocol": protocol})
    options = Options(str(folder / "runs"), "inline", "disabled", "cpu")
    return launch(study, options, Console(quiet=True)).storage


@pytest.fixture(scope="module")
def study(storage):
    return load_study_state(storage)


def test_the_arm_with_the_highest_val_finds_the_wrong_labels(study):
    ledger, study_state = study
    suspects = find_suspects(ledger, study_state)
    val = {arm: [r.val for r in study_state.records if r.arm == arm] for arm in ARMS}
    assert suspects.arm == max(ARMS, key=lambda arm: np.mean(val[arm])) != "ce"
    assert suspects.quality is not None
    plain = find_suspects(ledger, study_state, "ce").quality
    assert suspects.quality["auroc"].mean > 0.9 > plain["auroc"].mean
    assert suspects.quality["auroc"].repeats == 2
    assert suspects.quality["precision_at_all"].mean > 0.8
    assert suspects.known == 1797 - 50 - 50 - 1400
    assert suspects.wrong / suspects.known == pytest.approx(0.4, abs=0.1)


def test_labels_are_counted_by_models_that_never_saw_them(study):
    """40 % of the labels are flipped; clean_only has learned none of them."""
    noise = count_wrong(*study, "ce")
    assert (noise["arm"], noise["in_sample"], noise["repeats"]) == ("clean_only", False, 2)
    assert noise["examples"] == 1797 - 50 - 50 - 1400
    assert noise["rate"]["mean"] == pytest.approx(0.4, abs=0.15)


def test_where_all_models_saw_the_labels_those_that_rank_count_them(study, monkeypatch):
    monkeypatch.setattr(ranking, "_unseeing", lambda _: [])
    noise = count_wrong(*study, "ce")
    assert (noise["arm"], noise["in_sample"]) == ("ce", True)


def test_the_score_beats_the_weights(storage, study):
    ledger, study_state = study
    suspects = find_suspects(ledger, study_state, "l2rw")
    wrong = np.array([s.true != s.given for s in suspects.ranking])
    by_score = ranking_quality(np.array([s.score for s in suspects.ranking]), wrong)
    by_weight = ranking_quality(np.array([-s.weight for s in suspects.ranking]), wrong)
    assert by_score["auroc"] > by_weight["auroc"] > 0.6


def test_an_arm_that_never_trained_on_the_examples_ranks_them(study):
    suspects = find_suspects(*study, "clean_only")
    assert suspects.quality["auroc"].mean > 0.9
    assert all(np.isnan(s.weight) for s in suspects.ranking)


def test_examples_that_the_models_do_not_know_are_not_ranked(study):
    """Rows that have changed since would be judged as if they were the old ones."""
    ledger, study_state = study
    changed = replace(study_state, document=study_state.document | {"fingerprint": "another"})
    with pytest.raises(UserError, match=r"\Astudy 'small': the content of the data has changed"):
        find_suspects(ledger, changed)


def test_an_entry_is_an_example_with_a_given_label(study):
    suspects = find_suspects(*study)
    pairs = {(s.row, s.given) for s in suspects.ranking}
    assert len(pairs) == len(suspects.ranking)
    assert sum(s.repeats for s in suspects.ranking) == 2 * suspects.known
    assert {s.repeats for s in suspects.ranking} == {1, 2}
    scores = [s.score for s in suspects.ranking]
    assert scores == sorted(scores, reverse=True)
    assert all(s.suggested != s.given for s in suspects.ranking)


def test_models_are_averaged_over_run_seeds_and_repeats(study, monkeypatch):
    """By hand: the models' outputs are replaced by constants that differ from model to model."""
    outputs = iter([np.array(p) for p in ([0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.3, 0.7])])
    columns = {"index": [7], "y": [0], "truth": [1]}
    train = SimpleNamespace(**{name: torch.tensor(value) for name, value in columns.items()})
    monkeypatch.setattr(predictions, "prepare", lambda *_: SimpleNamespace(train=train))
    monkeypatch.setattr(predictions, "load_model", lambda _: None)
    monkeypatch.setattr(predictions, "_predict", lambda *_: next(outputs)[None])
    monkeypatch.setattr(predictions.torch, "load", lambda *_, **__: {"weight": torch.tensor([2.0])})
    [only] = find_suspects(*study, "ce").ranking
    assert only.repeats == 2 and (only.given, only.suggested, only.row) == ("0", "1", 7)
    assert only.score == pytest.approx(0.55 - 0.45) and only.weight == 1.0


def test_each_entry_has_the_mean_of_its_repeats_wherever_it_is_looked_at():
    """Two repeats that share examples, of which some have another label: each by itself."""
    rng, classes = np.random.default_rng(0), ["c", "a", "b"]
    dataset = make_dataset("x", np.zeros((40, 2), np.float32), [classes[k % 3] for k in range(40)])
    repeats, expected = [], {}
    for rows in (range(30), range(10, 40)):
        y, p, weights = rng.integers(0, 3, 30), rng.dirichlet(np.ones(3), 30), rng.random(30)
        for row, label, *seen in zip(rows, y.tolist(), p, weights, strict=True):
            expected.setdefault((row, label), []).append(seen)
        split = SimpleNamespace(index=torch.tensor([*rows]), y=torch.from_numpy(y))
        repeats.append(predictions.RepeatPredictions(split, p, weights))
    found = ranking._rank(repeats, dataset, None, told=True)
    assert len(found) == len(expected) > 40
    names = dataset.classes
    for suspect in found:
        seen = expected[suspect.row, names.index(suspect.given)]
        mean = np.mean([p for p, _ in seen], axis=0)
        own, other = mean[names.index(suspect.given)], mean[names.index(suspect.suggested)]
        assert suspect.score == pytest.approx(other - own) and suspect.repeats == len(seen)
        assert suspect.weight == pytest.approx(np.mean([w for _, w in seen]))
        assert suspect.true == names[dataset.truth[suspect.row]] and suspect.dissent is None
    order = [(-s.score, s.row, s.given) for s in found]
    assert order == sorted(order)
    assert [*found[2:5]] == [found[k] for k in (2, 3, 4)] and found[-1] == [*found][-1]


def test_files_are_written_where_the_study_is(storage):
    suspects, noise, paths = write_suspects(storage, "l2rw", 20)
    assert [path.removeprefix(storage) for path in paths] == ["/suspects.csv", "/suspects.json"]
    assert study_report(storage).results["label_noise"]["confident"] == noise
    table, sheet = (Path(path).read_text() for path in paths)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 20 and list(rows[0])[:4] == ["rank", "name", "given", "suggested"]
    assert rows[0]["true"] == suspects.ranking[0].true and int(rows[0]["rank"]) == 1
    assert sheet.count("data:image/png;base64,") == 50


def suspect(**change):
    values = {"row": 0, "name": "0", "given": "a", "suggested": "b", "score": 0.5}
    return Suspect(**values | {"weight": float("nan"), "true": None, "repeats": 1} | change)


def test_where_no_wrong_label_is_known_nothing_is_claimed():
    unknown = Suspects("ce", [suspect()], None, 10, 0)
    assert "cannot be measured" in evidence(unknown)
    [row] = csv.DictReader(io.StringIO(to_csv(unknown)))
    assert "true" not in row and row["weight"] == ""


def test_a_judge_that_doubts_no_label_is_told():
    sure = Suspects("boosted_trees", [suspect(score=-0.98)], None, 10, 0)
    assert "of boosted_trees hold every given label" in evidence(sure)
    assert "by heart" not in evidence(Suspects("ce", [suspect(score=0.1)], None, 10, 0))


def test_examples_that_are_no_images_have_none():
    dataset = make_dataset("x", np.zeros((2, 5), np.float32), ["a", "b"])
    [first] = contact_sheet(Suspects("ce", [suspect()], None, 1, 0), dataset)["first"]
    assert first["image"] is None and first["suggested"] == "b"


def test_dark_images_are_stretched_to_be_seen(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "pipelines.suspects.contact_sheet._data_uri", lambda x: seen.append(x.max()) or ""
    )
    for brightest in (16, 255):
        dataset = make_dataset("x", np.full((2, 1, 4, 4), brightest, np.uint8), ["a", "b"])
        contact_sheet(Suspects("ce", [suspect()], None, 1, 0), dataset)
    assert seen == [240, 255]


def test_the_command_prints_the_quality_and_puts_the_sheet_on_the_page(storage, capsys):
    assert run("suspects", storage, "--arm", "clean_only", "--top", 5) == 0
    shown = capsys.readouterr().out
    assert "clean_only" in shown and "AUROC" in shown
    assert f"{storage}/report.html#study-0-suspects" in shown.splitlines()
    page = Path(storage, "report.html").read_text()
    section = page.split('id="study-0-suspects"')[1].split("</section>")[0]
    assert section.count('<img src="data:image/png;base64,') == 50 and "1. given" in section


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--arm", "gce"], "arm 'gce'"), (["--top", "0"], "--top 0")],
)
def test_an_arm_of_another_study_and_an_empty_table_are_the_user_s_mistakes(
    storage, words, message, capsys
):
    assert run("suspects", storage, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_study_without_final_trials_has_no_suspects_yet(storage, tmp_path):
    copy = tmp_path / "runs"
    shutil.copytree(storage, copy)
    for result in copy.glob("trials/*/result.json"):
        result.unlink()
    with pytest.raises(UserError, match="no completed final trial"):
        find_suspects(*load_study_state(str(copy)))


def test_damaged_models_are_told_in_one_line_and_cost_the_report_nothing(storage, tmp_path, capsys):
    copy = tmp_path / "runs"
    shutil.copytree(storage, copy)
    for model in copy.glob("trials/*/attempts/*/model.pt"):
        model.write_bytes(bytes(model.stat().st_size))
    assert run("suspects", str(copy), "--arm", "ce") == 2
    error = capsys.readouterr().err
    assert "model.pt or examples.pt is missing or damaged" in error and error.count("\n") == 1
    assert run("report", str(copy)) == 0
