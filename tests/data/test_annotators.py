"""One label of several people's."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipelines.data.annotators import collected, dawid_skene, settle, shares, told
from pipelines.data.loading import load_dataset
from pipelines.data.survey import summary, survey
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.label_corruption import Noise
from pipelines.study.labels_files import LabelsFile
from pipelines.study.phases import Meta
from pipelines.study.protocol import Data, Protocol, Splits, protocol_hash
from pipelines.training.augmentation import Augmentation
from pipelines.training.batches import Batches
from pipelines.training.clean_examples import CleanExamples
from pipelines.training.step_inputs import StepInputs
from tests.support.data_files import assert_refused

ZEROS = (torch.tensor(0.1), torch.tensor(0.0))


def answers(*given: tuple[int, str, int], classes: int = 2):
    return collected(list(given), classes)


def crowd(seed: int = 0, n: int = 400, classes: int = 3):
    """Two careful annotators, four who guess, and one who always says 0; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    given = []
    for row, true in enumerate(truth.tolist()):
        for name in ("good1", "good2"):
            said = true if rng.random() < 0.95 else int(rng.integers(classes))
            given.append((row, name, said))
        given += [(row, f"guess{k}", int(rng.integers(classes))) for k in range(4)]
        given.append((row, "lazy", 0))
    return answers(*given, classes=classes), truth


def test_the_majority_decides_and_a_tie_is_broken_the_same_way_each_time():
    some = answers((4, "a", 1), (4, "b", 1), (4, "c", 0), (7, "a", 0))
    rows, labels = settle(some, "majority")
    assert rows.tolist() == [4, 7] and labels.tolist() == [1, 0]
    tied = answers(
        *((row, who, label) for row in range(400) for who, label in (("a", 0), ("b", 1)))
    )
    labels = settle(tied, "majority")[1]
    assert np.array_equal(labels, settle(tied, "majority")[1])
    assert 150 < labels.sum() < 250  # and no class is preferred


def test_one_is_the_answer_of_one_annotator():
    some = answers(*((row, f"w{k}", k) for row in range(300) for k in range(3)), classes=3)
    counts = np.bincount(settle(some, "one")[1])
    assert counts.min() > 60  # of 100 expected


def test_shares_are_those_of_an_examples_answers():
    some = answers((4, "a", 1), (4, "b", 1), (4, "c", 0), (7, "a", 2), classes=3)
    rows, soft = shares(some)
    assert rows.tolist() == [4, 7]
    np.testing.assert_allclose(soft, [[1 / 3, 2 / 3, 0], [0, 0, 1]], rtol=1e-6)
    assert settle(some, "soft")[1].tolist() == [1, 2]


def test_dawid_and_skene_believe_who_is_right():
    some, truth = crowd()
    by_rule = {
        rule: (settle(some, rule)[1] == truth).mean() for rule in ("majority", "dawid_skene")
    }
    assert by_rule["dawid_skene"] > 0.94 and by_rule["majority"] < 0.8
    probable, confusion = dawid_skene(some)
    assert probable.sum(axis=1) == pytest.approx(1) and confusion.sum(axis=2) == pytest.approx(1)
    right = {name: np.diag(confusion[k]).mean() for k, name in enumerate(some.annotators)}
    assert min(right["good1"], right["good2"]) > 0.9
    assert max(right[f"guess{k}"] for k in range(4)) < 0.45
    assert confusion[some.annotators.index("lazy"), :, 0] == pytest.approx(1, abs=0.02)


def test_it_is_expectation_maximisation_as_written_down_for_each_example():
    some, _ = crowd(n=12)
    probable, confusion = dawid_skene(some)
    prior = (probable.sum(axis=0) + 1 / 3) / 13
    for row in range(12):
        product = prior.copy()
        for k in np.flatnonzero(some.rows == row):
            product *= confusion[some.by[k], :, some.labels[k]]
        np.testing.assert_allclose(probable[row], product / product.sum(), atol=1e-4)


def test_agreement_is_the_share_of_pairs_that_are_the_same():
    some = answers((0, "a", 1), (0, "b", 1), (0, "c", 0), (1, "a", 0))
    assert some.agreement == pytest.approx(1 / 3)
    assert told(some) == "3, with 4 answers for 2 examples; two agree on 33%"
    assert answers((0, "a", 1)).agreement is None


# ---- in files


@pytest.fixture
def data(tmp_path) -> Data:
    x = np.arange(60.0).reshape(30, 2)
    names = [f"clip.{n}.mp3" for n in range(30)]
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(30) % 2, names=names, classes=["rock", "pop"])
    return Data(source="arrays", path=tmp_path / "d.npz")


def said(row: int, who: int) -> str:
    return ("rock", "pop")[(row + (row % 10 == who)) % 2]  # each is wrong in three examples


def long_form(path):
    lines = [f"clip.{row}.mp3,w{who},{said(row, who)}" for row in range(30) for who in range(3)]
    path.write_text("\n".join(["id,worker,genre", *lines]))
    return path


def test_long_and_wide_form_say_the_same(data, tmp_path):
    long = LabelsFile(
        file=long_form(tmp_path / "l.csv"),
        path="id",
        label="genre",
        annotator="worker",
        rule="majority",
    )
    lines = [",".join([f"clip.{r}.mp3", *(said(r, w) for w in range(3))]) for r in range(30)]
    (tmp_path / "w.csv").write_text("\n".join(["id,w0,w1,w2", *lines, "clip.0.mp3"][:31]))
    columns = ("w0", "w1", "w2")
    wide = LabelsFile(file=tmp_path / "w.csv", path="id", columns=columns, rule="majority")
    observed = [
        load_dataset(data.model_copy(update={"labels": labels})).observed.tolist()
        for labels in (long, wide)
    ]
    assert observed == [[0, 1] * 15] * 2


def ruled(tmp_path, rule):
    file = long_form(tmp_path / "l.csv")
    return LabelsFile(file=file, path="id", label="genre", annotator="worker", rule=rule)


def test_soft_labels_are_shares_of_answers_beside_the_most_frequent_one(data, tmp_path):
    labels = ruled(tmp_path, "soft")
    dataset = load_dataset(data.model_copy(update={"labels": labels}))
    assert dataset.observed.tolist() == [0, 1] * 15
    np.testing.assert_allclose(dataset.soft[0], [2 / 3, 1 / 3], rtol=1e-6)  # one is wrong
    assert dataset.soft[5].tolist() == [0, 1]  # none is
    majority = data.model_copy(update={"labels": ruled(tmp_path, "majority")})
    assert load_dataset(majority).soft is None
    assert load_dataset(majority).fingerprint != dataset.fingerprint


def test_what_is_trained_on_is_the_distribution_but_of_verified_examples(data, tmp_path):
    trusted = tmp_path / "t.csv"
    trusted.write_text(
        "path,label\n" + "\n".join(f"clip.{r}.mp3,{['rock', 'pop'][r % 2]}" for r in range(12))
    )
    changes = {"labels": ruled(tmp_path, "soft"), "trusted": LabelsFile(file=trusted)}
    splits = Splits(meta=4, val=2, test=3)
    protocol = Protocol(data=data.model_copy(update=changes), splits=splits)
    task = prepare(protocol, 0)
    augmentation, clean = Augmentation("none", (2,)), CleanExamples(Meta(), task)
    batches = Batches(task, task.pool("train+meta"), clean, augmentation, "m:M")
    inputs = StepInputs(torch.arange(len(batches.pool)), None, torch.arange(4), None, *ZEROS)
    batch = batches.training(inputs, ())
    dataset = load_dataset(protocol.data)
    expected = torch.from_numpy(dataset.soft)[batch.index]
    expected[batch.trusted] = torch.eye(2)[batches.pool.y[batch.trusted]]
    assert torch.equal(batch.y, expected) and ((batch.y > 0) & (batch.y < 1)).any()
    assert torch.equal(batches.clean_loss(inputs, ())[1], torch.eye(2)[task.meta.y])


def test_a_verified_label_stays_though_the_others_are_made_anew_outside_the_test_set(
    data, tmp_path
):
    verified = tmp_path / "v.csv"
    verified.write_text("path,label\nclip.1.mp3,rock\nclip.3.mp3,rock\n")
    labels = ruled(tmp_path, "dawid_skene")
    changes = {"labels": labels, "corrections": LabelsFile(file=verified)}
    splits = Splits(meta=2, val=2, test=4)
    task = prepare(Protocol(data=data.model_copy(update=changes), splits=splits), 0)
    given = dict(zip(task.train.index.tolist(), task.train.y.tolist(), strict=True))
    assert given.keys() & {1, 3}
    assert given == {row: 0 if row in (1, 3) else row % 2 for row in given}


def test_noise_is_not_added_to_all_answers(data, tmp_path):
    soft = data.model_copy(update={"labels": ruled(tmp_path, "soft")})
    with pytest.raises(ValidationError, match=r"noise\.kind = 'flip': corrupts one label"):
        Protocol(data=soft, noise=Noise(kind="flip", rate=0.2))


def test_new_sees_several_annotators(data, tmp_path):
    seen = survey(data.path, long_form(tmp_path / "l.csv"))
    labels = seen.data.labels
    assert (labels.path, labels.label, labels.annotator) == ("id", "genre", "worker")
    assert labels.rule == "dawid_skene" and seen.relabelled == 0
    text = dict(summary(seen))["annotators"]
    assert text == "3, with 90 answers for 30 examples; two agree on 80%; rule dawid_skene"


def test_two_labels_of_one_example_without_a_rule_are_refused_with_the_way_out(data, tmp_path):
    labels = LabelsFile(file=long_form(tmp_path / "l.csv"), path="id", label="genre")
    assert_refused(data.model_copy(update={"labels": labels}), "line 3: .*twice; of several annota")


def test_an_answer_that_was_sent_twice_is_one_and_two_of_one_annotator_are_refused(data, tmp_path):
    rule = {"annotator": "worker", "rule": "soft"}
    labels = LabelsFile(file=long_form(tmp_path / "l.csv"), path="id", label="genre", **rule)
    once = load_dataset(data.model_copy(update={"labels": labels}))
    text = (tmp_path / "l.csv").read_text()
    first = text.splitlines()[1]
    (tmp_path / "l.csv").write_text(f"{text}\n{first}")
    assert (load_dataset(data.model_copy(update={"labels": labels})).soft == once.soft).all()
    name, worker, label = first.split(",")
    (tmp_path / "l.csv").write_text(
        f"{text}\n{name},{worker},{'pop' if label == 'rock' else 'rock'}"
    )
    message = f"line 92: '{name}' occurs twice with other labels of '{worker}': keep one"
    assert_refused(data.model_copy(update={"labels": labels}), message)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rule": "majority"}, "rule needs the annotators"),
        ({"annotator": "worker"}, "rule is missing: majority, dawid_skene, soft or one"),
        ({"columns": ["a"], "annotator": "w", "rule": "one"}, "columns and annotator: give one"),
        (
            {"columns": ["a"], "rule": "mean"},
            "'majority', 'dawid_skene', 'soft' or 'one'",
        ),
    ],
)
def test_a_rule_goes_with_annotators(more, message):
    with pytest.raises(ValidationError, match=message):
        LabelsFile(file="l.csv", **more)


def test_another_rule_is_another_protocol_and_none_is_the_old_one(data):
    plain = LabelsFile(file="l.csv")
    ruled = LabelsFile(file="l.csv", annotator="worker", rule="one")
    hashes = [
        protocol_hash(Protocol(data=data.model_copy(update={"labels": labels})), "content")
        for labels in (plain, ruled, ruled.model_copy(update={"rule": "majority"}))
    ]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("names", [["a"], np.zeros((30, 2))])
def test_names_of_arrays_are_one_for_each_example(names, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.eye(30), y=np.arange(30) % 2, names=names)
    data = Data(source="arrays", path=tmp_path / "d.npz")
    assert_refused(data, r"d\.npz: names has shape \(.*\), x 30 examples")


def test_a_file_with_other_names_is_told_where_names_come_from(data, tmp_path):
    np.savez(tmp_path / "plain.npz", x=np.arange(60.0).reshape(30, 2), y=np.arange(30) % 2)
    with pytest.raises(UserError, match=r"like '0': row numbers \(or `names`: of an \.npz file"):
        survey(tmp_path / "plain.npz", long_form(tmp_path / "l.csv"))


def test_examples_without_a_name_have_their_row_numbers(tmp_path):
    x, y = np.eye(3), [0, 1, 0]
    np.savez(tmp_path / "d.npz", x=x, y=y, x_test=x, y_test=y, names=["a", "b", "c"])
    dataset = load_dataset(Data(source="arrays", path=tmp_path / "d.npz"))
    assert dataset.names == ["a", "b", "c", "3", "4", "5"]
