"""A metric that nobody knew yesterday: one entry in the registry, and a study scores by it."""

import io
import json

import pytest
from rich.console import Console

from pipelines.analysis.record import Record
from pipelines.commands.launch import Options, launch
from pipelines.metrics import METRICS, Metric, Predictions
from pipelines.report.pages import write_report
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.report.tables import columns, rows
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS, small_study

NAME = "relative_error"


def _relative_error(predictions: Predictions) -> float:
    """Errors per error of guessing; lower is better."""
    classes = predictions.probabilities.shape[1]
    error = 1 - (predictions.hits.sum() / len(predictions.labels)).item()
    return error / (1 - 1 / classes)


ENTRY = Metric(
    "negative error, relative to guessing",
    "",
    _relative_error,
    worst=lambda classes: 1 / (1 - 1 / classes),
    higher_is_better=False,
)


@pytest.fixture(scope="module", autouse=True)
def entry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS, NAME, ENTRY)
        yield


def _study(**schedule: float) -> Study:
    protocol = DIGITS | {"metric": NAME, "schedule": DIGITS["schedule"] | schedule}
    request = small_study(("ce", "gce_plus_meta", "l2rw")).request.model_dump(mode="json")
    return parse_study({"name": "new", "protocol": protocol, "request": request}, "new")


def _run(study: Study, storage: str) -> StudyState:
    options = Options(storage, "inline", "disabled", "cpu")
    launch(study, options, Console(file=io.StringIO()))
    return load_study_state(storage)[1]


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module")
def finished(entry, storage: str) -> StudyState:
    return _run(_study(), storage)


def _searched(state: StudyState, repeat: int) -> list[Record]:
    return [
        r for r in state.records if (r.arm, r.role, r.repeat) == ("gce_plus_meta", "search", repeat)
    ]


def test_a_trial_measures_it_on_val_and_test(finished: StudyState):
    for trial in finished.trials.values():
        assert trial.result is not None
        held_out = trial.result["held_out"]
        wrong = 1 - held_out["last"]["accuracy"]
        assert held_out["last"][NAME] == pytest.approx(wrong / 0.9)
        assert held_out["score"]["last"] == -held_out["last"][NAME]
        assert trial.result["val"]["selected"] >= trial.result["val"]["last"]


def test_the_search_selects_the_configuration_with_the_fewest_errors_on_val(finished: StudyState):
    for chosen in finished.results()["arms"]["gce_plus_meta"]["selected"]:
        best = max(_searched(finished, chosen["repeat"]), key=lambda r: r.val)
        assert chosen["val"] == best.val < 0 and chosen["config"] == best.config


def test_a_diverged_run_has_its_worst_value_for_ten_classes(tmp_path):
    state = _run(_study(lr=1e30), str(tmp_path))
    assert {record.status for record in state.records} == {"diverged"}
    assert {record.val for record in state.records} == {-1 / (1 - 1 / 10)}


def test_the_main_table_shows_it_with_its_label_and_without_a_unit(finished: StudyState):
    results = finished.results()
    heading = {column.name: column.heading for column in columns(results)}["test"]
    assert heading == "test negative error, relative to guessing"
    mean = results["arms"]["ce"]["test"]["last"]["mean"]
    shown = {row["arm"].text: row["test"].text for row in rows(results)}["ce"]
    assert shown.startswith(f"{mean:.3f}")


def test_the_headline_names_it(finished: StudyState):
    results = finished.results()
    assert results["metric"] == NAME
    [verdict] = [s for s in results["headline"]["sentences"] if "difference" in s]
    assert f" {NAME} (" in verdict and "points" not in verdict


def test_the_report_is_written_with_its_figures(finished: StudyState, storage: str):
    paths = write_report(storage)
    [page] = [path for path in paths if path.endswith("report.html")]
    [results] = [path for path in paths if path.endswith("results.json")]
    with open(page, encoding="utf-8") as file:
        assert "negative error, relative to guessing" in file.read()
    with open(results, encoding="utf-8") as file:
        assert json.load(file)["metric"] == NAME
