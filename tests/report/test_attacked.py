"""Under an attack, accuracy with it and without stand beside each other wherever scores do."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.results_csv import to_csv
from pipelines.commands.launch import Options, launch
from pipelines.report.methods_text import methods_tex
from pipelines.report.study_report import study_report
from pipelines.report.tables import columns, rows
from pipelines.report.terminal import print_answer
from pipelines.study.study_file import parse_study
from tests.conftest import ATTACK, DIGITS

ARMS = ["ce", "pgd_training", "clean_only_all"]


@pytest.fixture(scope="module", params=["robust_accuracy", "accuracy"])
def report(request, tmp_path_factory):
    """Of a study that scores by one of the two."""
    schedule = DIGITS["schedule"] | {"epochs": 2}
    protocol = DIGITS | {"attack": ATTACK, "metric": request.param, "schedule": schedule}
    wanted = {"arms": ARMS, "trials": 0, "repeats": 2, "seeds": 1, "curve": False}
    study = parse_study({"name": "attacked", "protocol": protocol, "request": wanted}, "attacked")
    storage = str(tmp_path_factory.mktemp("attacked"))
    options = Options(storage, "inline", "disabled", "cpu")
    launch(study, options, Console(file=io.StringIO()))
    return study_report(storage)


@pytest.fixture
def scored(report):
    return report.study_state.study.protocol.metric


@pytest.fixture
def other(scored):
    [name] = {"robust_accuracy", "accuracy"} - {scored}
    return name


def final_values(report, arm, metric):
    """What the final trials of an arm have measured."""
    trials = report.study_state.trials.values()
    specs = [t for t in trials if t.spec["arm"] == arm and t.spec["role"] in ("final", "default")]
    return [t.result["held_out"]["last"][metric] for t in specs]


def test_results_have_the_mean_of_the_other_one(report, scored, other):
    for name, arm in report.results["arms"].items():
        found = arm["beside"]
        assert list(found) == [other] and found[other]["n"] == 2
        assert found[other]["mean"] == pytest.approx(np.mean(final_values(report, name, other)))
        mean = np.mean(final_values(report, name, scored))
        assert arm["test"]["last"]["mean"] == pytest.approx(mean)


def test_which_examples_were_right_is_of_what_is_scored(report, scored):
    runs = ArmRuns("ce", [r for r in report.study_state.records if r.arm == "ce"], "last", scored)
    examples = runs.examples("final", "last")
    assert examples is not None
    mean = np.mean([values.mean() for values in examples.values()])
    assert mean == pytest.approx(report.results["arms"]["ce"]["test"]["last"]["mean"])


def test_tables_show_both(report, other):
    headings = {column.name: column.heading for column in columns(report.results)}
    assert headings[other] == f"test {other.replace('_', ' ')}, %"
    shown = {row["arm"].text: row[other] for row in rows(report.results)}
    for name, arm in report.results["arms"].items():
        assert shown[name].order == arm["beside"][other]["mean"]


def test_so_does_the_terminal_in_80_columns(report, other):
    output = io.StringIO()
    print_answer(report.results, Console(width=80, file=output))
    lines = output.getvalue().splitlines()
    [line] = [line for line in lines if line.startswith("ce ")]
    mean = report.results["arms"]["ce"]["beside"][other]["mean"]
    assert max(map(len, lines)) <= 80 and f" {100 * mean:.1f} " in line


def test_so_does_the_table_of_arms(report, other):
    [first, *_] = csv.DictReader(io.StringIO(to_csv(report.results)))
    mean = report.results["arms"]["ce"]["beside"][other]["mean"]
    assert float(first[f"beside_{other}_mean"]) == pytest.approx(mean)


def test_the_set_up_tells_of_the_attack(report):
    text = "projected gradient ascent in the l-infinity ball of radius 0.00784314, 2 steps of 0.0"
    assert dict(report.set_up.lines)["attack"].startswith(text)
    assert f"Attack: {text}" in methods_tex(report.study_state, report.set_up)
