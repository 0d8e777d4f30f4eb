"""Studies from Python: a tiny one is launched, opened, and looked at in frames."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

import untuned
from pipelines import own_modules
from tests.conftest import DIGITS

STUDY = {
    "name": "tiny",
    "protocol": DIGITS,
    "request": {
        "arms": ["ce", "gce", "mw_net"],
        "trials": 1,
        "repeats": 2,
        "seeds": 1,
        "axes": {"noise.rate": [0.2]},
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> untuned.StudyResults:
    storage = str(tmp_path_factory.mktemp("tiny"))
    options = {"storage": storage, "executor": "inline", "wandb": "disabled"}
    return untuned.launch(STUDY, quiet=True, **options)


def test_a_study_is_launched_from_plain_values(results):
    assert results.study.name == "tiny" and list(results.study.arms) == ["ce", "gce", "mw_net"]
    assert len(results.records) == 2 * (1 + (2 + 2 + 1 + 1) + 1)
    assert "StudyResults 'tiny'" in repr(results)


def test_a_finished_study_is_complete_when_launched_again(results, capsys):
    options = {"storage": results.storage, "executor": "inline", "wandb": "disabled"}
    again = untuned.launch(untuned.load_study(STUDY), **options)
    assert "complete: nothing is missing" in capsys.readouterr().out
    assert_frame_equal(again.trials(), results.trials())


def test_a_study_is_launched_from_any_thread(results):
    options = {"storage": results.storage, "executor": "inline", "wandb": "disabled"}
    with ThreadPoolExecutor() as threads:
        again = threads.submit(untuned.launch, STUDY, quiet=True, **options).result()
    assert len(again.records) == len(results.records)


def test_trials_have_a_row_for_each_run_of_every_scenario(results):
    trials = results.trials()
    assert set(trials["scenario"]) == {"", "noise.rate=0.2"}
    own = trials[trials["scenario"] == ""]
    for record, (_, row) in zip(results.records, own.iterrows(), strict=True):
        assert (row["key"], row["role"], row["test.last"]) == (
            record.key,
            record.role,
            record.test["last"],
        )
    searched = own[(own["arm"] == "gce") & (own["role"] == "search")]
    assert searched["config.q"].between(0.05, 1).all()


def test_arms_and_pairs_have_the_numbers_of_the_summary(results):
    arms, pairs = results.arms(), results.pairs()
    for name, arm in results.summary["arms"].items():
        assert arms.loc[name, "test.last.mean"] == arm["test"]["last"]["mean"]
        assert arms.loc[name, "clean_labels.train"] == arm["clean_labels"]["train"]
    for pair, (_, row) in zip(results.summary["pairs"], pairs.iterrows(), strict=True):
        assert (row["untuned"], row["tuned"]) == (pair["untuned"], pair["tuned"])
        assert row["difference.mean"] == pair["difference"]["mean"]


def test_every_scenario_has_frames_of_its_own(results):
    inside = results.summary["scenarios"]["scenarios"]["noise.rate=0.2"]["arms"]
    frame = results.arms("noise.rate=0.2")
    assert frame.loc["ce", "test.last.mean"] == inside["ce"]["test"]["last"]["mean"]
    assert frame.loc["ce", "test.last.mean"] != results.arms().loc["ce", "test.last.mean"]
    with pytest.raises(untuned.UserError, match=r"scenario 'noise\.rate=0\.3': there are ''"):
        results.arms("noise.rate=0.3")


def test_budget_curves_have_a_row_for_each_budget(results):
    curves = results.budget_curves()
    assert curves["arm"].tolist() == ["gce", "gce"] and curves["budget"].tolist() == [0, 1]


def test_a_history_has_a_row_for_each_epoch(results):
    key = next(record.key for record in results.records if record.role == "final")
    assert results.history(key)["epoch"].tolist() == [1, 2, 3]
    with pytest.raises(untuned.UserError, match="trial 'ce-0' has no history"):
        results.history("ce-0")


def test_the_weights_that_a_trial_learned_are_loaded_from_its_study(results):
    for record in results.records:
        if record.arm == "mw_net":
            learned = results.load_objective(record.key).learned()["weight_function"]
            last = results.history(record.key).iloc[-1]
            assert learned.tolist() == last["learned/weight_function"]
            assert results.load_model(record.key).classes == [str(digit) for digit in range(10)]


def test_a_search_trial_has_no_model(results):
    key = next(record.key for record in results.records if record.role == "search")
    with pytest.raises(untuned.UserError, match=r"has no model\.pt, or a damaged one; models"):
        results.load_model(key)


def test_a_mistake_is_one_line():
    with pytest.raises(untuned.UserError, match="launch has no option 'place'; there are storage"):
        untuned.launch("digits", place="runs")
    with pytest.raises(untuned.UserError, match=r"study: request\.trails"):
        untuned.load_study(STUDY, {"trails": 3})
    with pytest.raises(untuned.UserError, match="name"):
        untuned.load_study({"protocol": DIGITS, "request": {"arms": ["ce"]}})
    with pytest.raises(untuned.UserError, match="study 'nowhere': neither a directory with"):
        untuned.open_study("nowhere")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"executor": "rai"}, "launch: executor = 'rai': Input should be 'ray' or 'inline'"),
        ({"concurrent": "two"}, "launch: concurrent = 'two'"),
        ({"gpus_per_trial": "many"}, "'many'"),
        ({"without": "fuse"}, "'fuse'"),
        ({"storage": ""}, "--storage '': must not be empty"),
    ],
)
def test_an_option_with_a_value_that_is_not_allowed_is_refused_in_one_line(option, message):
    with pytest.raises(untuned.UserError, match=message) as caught:
        untuned.launch(STUDY, **option)
    assert "\n" not in str(caught.value)


def test_the_best_run_of_an_arm_is_its_final_run_with_the_highest_val(results):
    best = results.best("gce")
    finals = [r.val for r in results.records if (r.arm, r.role) == ("gce", "final")]
    assert best.role == "final" and best.val == max(finals)
    means = results.arms()["val.mean"]
    assert results.best().arm == means.idxmax()


def test_paths_of_plain_values_are_relative_to_where_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_modules, "search", list)  # it would outlast this test
    data = DIGITS | {"data": {"source": "arrays", "path": "mine.npz"}}
    study = untuned.load_study(STUDY | {"protocol": data})
    assert study.protocol.data.path == tmp_path / "mine.npz"


MINE = """
import untuned


class Halved(untuned.Objective):
    def forward(self, outputs, batch):
        return untuned.cross_entropy(outputs.logits, batch.y) / 2
"""
LAUNCH_MINE = """
import untuned

phases = [{{"method": "mine_of_a_test:Halved"}}]
study = {{
    "name": "own",
    "protocol": {protocol},
    "request": {{"arms": ["halved"], "repeats": 1, "seeds": 1}},
    "arms": {{"halved": {{"about": "half", "kind": "plain", "phases": phases}}}},
}}
results = untuned.launch(study, executor="inline", wandb="disabled", quiet=True)
[record] = results.records
print(type(results.load_objective(record.key)).__name__)
"""


@pytest.mark.slow
def test_a_method_of_ones_own_is_found_where_python_runs(tmp_path):
    """In a process of its own, whose script lies elsewhere."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (here / "mine_of_a_test.py").write_text(MINE)
    script = elsewhere / "script.py"
    script.write_text(LAUNCH_MINE.format(protocol=DIGITS))
    environment = os.environ | {"PYTHONPATH": str(Path(untuned.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Halved\n", done.stderr[-2000:]


def test_a_request_is_overridden_in_files_and_values_alike():
    assert untuned.load_study("digits", {"trials": 3}).request.trials == 3
    assert untuned.load_study(STUDY, {"trials": 3}).request.trials == 3
