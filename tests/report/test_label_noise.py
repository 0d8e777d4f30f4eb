"""Where the truth is not known, the page says how many labels are wrong as far as can be told."""

import pytest

from pipelines.analysis.label_noise import counted
from pipelines.ledger.documents import write_document
from pipelines.report.label_noise import (
    NOISE_FILE,
    confident_words,
    label_noise,
    noise_table,
    noise_words,
)
from pipelines.report.pages import page
from pipelines.report.study_report import study_report
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, write_study

VERIFIED = [[8, 2], [1, 9]]
CONFIDENT = {
    "examples": 700,
    "rate": {"mean": 0.25, "low": 0.2, "high": 0.3},
    "transition": {name: [[0.9, 0.1], [0.4, 0.6]] for name in ("mean", "low", "high")},
    "arm": "gce",
    "repeats": 3,
    "in_sample": False,
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """A study of which a list says what some labels should be."""

    def outcome(spec):
        result, history = completed(spec, ["<cat>", "dog"])
        result["data"]["noise"] = {"kind": "none", "nominal": 0.0, "measured": {"train": None}}
        result["data"]["noise"]["measured"]["val"] = 0.0
        return {**result, "data": result["data"] | {"verified": VERIFIED}}, history

    study = small_study(("ce", "gce"))
    protocol = study.protocol.model_copy(update={"noise": type(study.protocol.noise)()})
    study = study.model_copy(update={"protocol": protocol})
    return write_study(tmp_path_factory.mktemp("verified"), study, outcome)


def test_the_set_up_has_the_rate_among_verified_labels_with_its_interval(storage):
    report = study_report(storage)
    assert dict(report.set_up.lines)["label noise"] == (
        "none added; of 20 verified labels 15.0 [3.2, 37.9] % were wrong as given"
    )
    assert report.results["label_noise"] == {
        "classes": ["<cat>", "dog"],
        "verified": counted(VERIFIED),
    }


def test_the_page_has_a_table_of_what_is_labelled_as_what(storage):
    html = page([study_report(storage)])
    table = html[html.index("What is labelled as what") :]
    assert "&lt;cat&gt;" in table and "20.0 [2.5, 55.6]" in table and "10.0 [0.3, 44.5]" in table
    assert "by confident counting" not in table


def test_confident_counting_stands_beside_it_once_suspects_has_run(storage):
    ledger = study_report(storage).ledger
    write_document(ledger.storage, NOISE_FILE, CONFIDENT)
    results = study_report(storage).results
    ledger.storage.delete(NOISE_FILE)
    assert noise_words(results)[1] == (
        "by confident counting with the final models of gce 25.0 ± 5.0 % of the training labels "
        "are wrong"
    )
    first, second = noise_table(results).rows
    assert [cell.text for cell in first.values()] == [
        "<cat>",
        "dog",
        "20.0 [2.5, 55.6]",
        "10.0 ± 0.0",
    ]
    assert second["confident"].text.startswith("40.0")


def test_nothing_is_estimated_where_nothing_is_to_go_by(finished):
    assert "label_noise" not in study_report(finished).results
    assert noise_table(study_report(finished).results) is None
    nobody = {"classes": ["a", "b"], "verified": [[0, 0], [0, 0]]}
    assert label_noise(None, None) is None and label_noise(nobody, None) is None


def test_models_that_saw_the_labels_are_said_to_count_too_few():
    assert "too few" not in confident_words(CONFIDENT)
    assert confident_words(CONFIDENT | {"in_sample": True}).endswith(
        " of the training labels are wrong; these models were trained on the labels, and as a rule "
        "count too few"
    )


def test_a_rate_without_an_interval_reads_as_one():
    rate = {"mean": 0.459, "low": None, "high": None}
    assert " 45.9 % (too few repeats) of the" in confident_words(CONFIDENT | {"rate": rate})
