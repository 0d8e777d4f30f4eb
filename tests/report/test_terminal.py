"""What a launch ends with: a table of 80 columns, best score first, then the answer."""

import io

import pytest
from rich.console import Console

from pipelines.analysis.results_schema import Results
from pipelines.report.study_state import load_study_state
from pipelines.report.terminal import print_answer
from tests.conftest import small_study
from tests.support.synthetic_ledger import ARMS_OF_ALL_KINDS, write_study


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    study = small_study(ARMS_OF_ALL_KINDS, trials=3, repeats=3, seeds=1)
    return load_study_state(write_study(tmp_path_factory.mktemp("study"), study))[1].results()


def printed(results: Results, width: int = 80) -> list[str]:
    output = io.StringIO()
    print_answer(results, Console(width=width, file=output))
    return output.getvalue().splitlines()


def table_of(lines: list[str]) -> list[str]:
    """The lines above the answer."""
    return lines[: lines.index("")]


def test_it_fits_in_80_columns_with_a_line_for_each_arm(results):
    lines = printed(results)
    assert max(map(len, lines)) <= 80
    for name, arm in results["arms"].items():
        (line,) = [line for line in table_of(lines) if line.startswith(f"{name} ")]
        assert f"{100 * arm['test']['last']['mean']:.1f} [" in line


def test_the_longest_name_of_an_arm_stands_on_one_line(results):
    """And without intervals, of which the last line speaks, the table is no wider."""
    long = "logistic_regression_balanced"
    arms = {long if n == "gce" else n: arm for n, arm in results["arms"].items()}
    metric = "balanced_accuracy"
    lines = table_of(printed(results | {"arms": arms, "metric": metric}))
    assert len(lines) == 2 + len(arms) and max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith(f"{long} ")]) == 1
    for pair in results["pairs"]:
        if pair["break_even"]:
            pair["break_even"]["interval"] = False
    assert "no interval" not in " ".join(table_of(printed(results)))


def test_arms_stand_by_score_and_what_has_none_last(results):
    without = results["arms"]["mw_net"]["test"]["last"] | {"mean": None}
    mw_net = results["arms"]["mw_net"] | {"test": {"last": without, "selected": without}}
    changed = results | {"arms": results["arms"] | {"mw_net": mw_net}}
    firsts = [line.split(" ")[0] for line in table_of(printed(changed))]
    order = [name for name in firsts if name in changed["arms"]]
    means = [changed["arms"][name]["test"]["last"]["mean"] for name in order]
    assert order[-1] == "mw_net" and sorted(means[:-1], reverse=True) == means[:-1]


def test_the_answer_comes_last(results):
    text = " ".join(" ".join(printed(results)).split())
    answer = results["answer"]
    places = [text.index(f"{line['question']} {line['text']}") for line in answer["lines"]]
    assert places == sorted(places) and places[0] > text.index("mw_net")
    assert text.endswith(answer["basis"])


def test_warnings_stand_beside_it(results):
    warning = {"trouble": "collapsed", "arm": "ce", "text": "ce [bold]collapsed[/bold]."}
    changed = results | {"answer": results["answer"] | {"warnings": [warning]}}
    assert "Warning: ce [bold]collapsed[/bold]." in printed(changed)


def test_an_oracle_is_said_to_read_the_truth_in_one_word(tmp_path):
    study = small_study(("ce", "forward_oracle"), trials=0, repeats=3, seeds=1)
    lines = printed(load_study_state(write_study(tmp_path, study))[1].results())
    (line,) = [line for line in table_of(lines) if line.startswith("forward_oracle ")]
    assert " truth/" in line and max(map(len, lines)) <= 80
