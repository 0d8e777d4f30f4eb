"""The command line, as a person uses it: from launch to best, and what mistakes look like."""

import ast
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import wandb
import yaml

import run_sweep
from methods.losses.cross_entropy import CrossEntropy
from pipelines.commands.options import Options
from pipelines.documents import decode, encode
from pipelines.execution.estimate import Estimate
from pipelines.models.classifier import load_model
from tests.conftest import DIGITS
from tests.support.wandb_reader import offline_runs

ROOT = Path(run_sweep.__file__).parent
REQUEST = {"arms": ["ce", "gce", "l2rw"], "trials": 1, "repeats": 2, "seeds": 1}


def run(*args, capsys=None):
    """Exit status of a command given as words."""
    argv, sys.argv = sys.argv, ["run_sweep.py", *map(str, args)]
    try:
        run_sweep.main()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = argv
    return 0


def study_file(folder: Path, **change) -> Path:
    raw = {"protocol": DIGITS, "request": REQUEST} | change
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


QUICK = ("arms", "best", "dashboard", "plan", "report", "status", "studies")
LAUNCH = ("--executor", "inline", "--wandb", "disabled", "--device", "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A storage that holds the small study, finished."""
    folder = tmp_path_factory.mktemp("finished")
    assert run("launch", study_file(folder), "--storage", folder / "runs", *LAUNCH) == 0
    return folder / "runs"


def stored(storage, path):
    """Where a document of a study lies, which its digest knows."""
    return path.relative_to(storage).as_posix()


def trial_results(storage):
    files = storage.glob("trials/*/result.json")
    return {p.parent.name: decode(p.read_bytes(), stored(storage, p)) for p in files}


def test_files_of_wandb_are_named_only_where_there_are_any(finished, capsys):
    run("report", finished)
    assert "W&B files" not in capsys.readouterr().out
    (finished / "wandb").mkdir()
    run("report", finished)
    assert "W&B files" not in capsys.readouterr().out
    (finished / "wandb" / "offline-run").mkdir()
    run("report", finished)
    assert "W&B files: " in capsys.readouterr().out
    run("launch", study_file(finished.parent), "--storage", finished, *LAUNCH)
    assert "W&B files" not in capsys.readouterr().out  # of another launch: this one has none
    (finished / "wandb" / "offline-run").rmdir()
    (finished / "wandb").rmdir()


def test_launch_writes_the_report(finished, capsys):
    for name in ("results.json", "results.csv", "report.md", "report.html"):
        assert (finished / name).stat().st_size > 100
    results = json.loads((finished / "results.json").read_text())
    assert list(results["arms"]) == ["ce", "gce", "l2rw"]
    assert results["arms"]["gce"]["trials"]["completed"] == 2 * (2 + 2 + 1 + 1)


def test_the_same_command_again_repeats_nothing(finished, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/result.json")}
    path = study_file(finished.parent)
    assert run("launch", path, "--storage", finished, *LAUNCH) == 0
    assert {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/result.json")} == before
    assert "complete" in capsys.readouterr().out


def test_two_runs_from_scratch_give_the_same_results(finished, tmp_path):
    run("launch", study_file(tmp_path), "--storage", tmp_path / "again", *LAUNCH)
    folders = (finished, tmp_path / "again")
    one, two = (json.loads((folder / "results.json").read_text()) for folder in folders)
    for part in ("cost", "provenance"):
        one.pop(part), two.pop(part)
    assert one == two


def test_a_larger_request_runs_only_what_is_missing(finished, tmp_path):
    import shutil

    storage = tmp_path / "runs"
    shutil.copytree(finished, storage)
    before = trial_results(storage)
    assert run("launch", study_file(tmp_path), "--storage", storage, "--trials", 2, *LAUNCH) == 0
    after = trial_results(storage)
    assert set(before) < set(after) and all(after[key] == before[key] for key in before)


def test_status_tells_how_the_study_stands(finished, capsys):
    assert run("status", finished, "--json") == 0
    state = json.loads(capsys.readouterr().out)
    assert state["done"] == state["planned"] == 2 + 2 * 6 + 2 and state["driver"] is None
    assert {arm["arm"]: arm["failed"] for arm in state["arms"]} == {"ce": 0, "gce": 0, "l2rw": 0}
    assert run("status", finished) == 0
    assert "not running" in capsys.readouterr().out


def test_a_recorded_trial_runs_again_identically(finished, capsys):
    key = next(key for key in trial_results(finished) if key.startswith("l2rw"))
    assert run("trial", finished, key) == 0
    assert "identical" in capsys.readouterr().out


def test_a_launch_without_fast_paths_says_so_in_its_results(tmp_path, capsys):
    path = study_file(tmp_path, request={"arms": ["l2rw"], "repeats": 1, "seeds": 1})
    storage = tmp_path / "runs"
    assert run("launch", path, "--storage", storage, "--without", "fused,gather", *LAUNCH) == 0
    [(key, result)] = trial_results(storage).items()
    assert result["provenance"]["without"] == ["fused", "gather"]
    assert run("trial", storage, key) == 0
    assert "identical" in capsys.readouterr().out


def test_a_trial_that_differs_from_its_record_is_told(finished, capsys):
    key, result = next(iter(trial_results(finished).items()))
    path = finished / "trials" / key / "result.json"
    kept = path.read_text()
    try:
        path.write_bytes(encode(result | {"passes": 1}, stored(finished, path)))
        assert run("trial", finished, key) == 1
        assert "differs in passes" in capsys.readouterr().out
    finally:
        path.write_text(kept)


def test_best_gives_a_configuration_and_a_model_that_loads(finished, capsys):
    assert run("best", finished, "--arm", "gce") == 0
    best = json.loads(capsys.readouterr().out)
    assert set(best["config"]) == {"q"} and best["chosen_by"] == "val"
    model = load_model(best["checkpoint"])
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images[:, None].astype("uint8"))
    assert model(x).shape == (1797, 10) and model.classes == [str(k) for k in range(10)]


def test_the_lines_that_best_prints_predict(finished, capsys):
    run("best", finished)
    lines = json.loads(capsys.readouterr().out)["predict"]
    program = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert len(ast.literal_eval(done.stdout)) == 5  # names of classes


def test_plan_tells_what_would_run(tmp_path, capsys):
    assert run("plan", study_file(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "gce" in text and "passes" in text
    assert run("plan", "digits") == 0


def test_plan_counts_trials_as_a_launch_with_these_options_runs_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    axes = {"axes": {"noise.rate": [0.0, 0.2]}}
    path = study_file(tmp_path, request={"arms": ["ce", "gce", "sce", "l2rw"]} | axes)
    words = ("--trials", 4, "--repeats", 5, "--seeds", 3)
    assert run("plan", path, *words, "--arms", "ce,gce,l2rw") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert " sce " not in text
    assert "Trials of ce and l2rw: 5 repeats in each of 3 scenarios, with 3 final each." in text
    searched = "5 searched, 5 retrained for the budget curve, 3 final and 3 of the default"
    assert f"Trials of gce: 5 repeats in each of 3 scenarios, with {searched} each." in text
    assert f" gce {5 * 3 * (5 + 5 + 3 + 3)} " in text and "with 3 trials at once, " in text
    assert run("plan", path, "--quick", "--trials", 0) == 0
    text = " ".join(capsys.readouterr().out.split())
    searched = "1 searched, 1 retrained for the budget curve, 1 final and 1 of the default"
    assert f"Trials of gce and sce: 1 repeat in each of 3 scenarios, with {searched} each." in text


def test_plan_shares_the_time_among_as_many_trials_as_the_processors_are_for(
    tmp_path, capsys, monkeypatch
):
    costs = {"ce": Estimate(2, 10, 300.0, 0), "gce": Estimate(4, 20, 600.0, 0)}
    monkeypatch.setattr("pipelines.execution.estimate.estimate", lambda study, say: costs)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert run("plan", study_file(tmp_path, request={"arms": ["ce", "gce"]})) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "15 min 00 s" in text and "with 3 trials at once, 5 min 00 s for all" in text


def test_arms_and_studies_are_a_line_each(capsys):
    assert run("arms") == 0 and run("studies") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("gce ") and "q 0.7 in 0.05..1" in line for line in lines)
    assert any(line.startswith("digits ") for line in lines)


def test_another_protocol_in_the_same_directory_is_refused(finished, tmp_path, capsys):
    path = study_file(tmp_path, protocol=DIGITS | {"schedule": {"epochs": 4, "lr": 0.05}})
    assert run("launch", path, "--storage", finished, *LAUNCH) == 2
    assert "schedule.epochs is 3 there, 4 here" in capsys.readouterr().err


BROKEN = {"about": "b", "kind": "plain", "phases": [{"method": f"{__name__}:Broken"}]}


def test_a_study_of_which_all_fails_alike_stops_early_and_goes_on_if_insisted(tmp_path, capsys):
    request = REQUEST | {"arms": ["broken"], "seeds": 5}
    path = study_file(tmp_path, arms={"broken": BROKEN}, request=request)
    storage = tmp_path / "runs"
    assert run("launch", path, "--storage", storage, *LAUNCH) == 3
    said, error = capsys.readouterr()
    assert (
        "stopped early: the first 3 trials of every arm failed alike, 7 of 10 were not run;" in said
    )
    assert "arm 'broken': 3 of 3 trials failed (code): RuntimeError: broken on purpose" in said
    assert "3 of 10 runs" in said and error == ""
    assert json.loads((storage / "results.json").read_text())["runs"] == {"done": 3, "planned": 10}
    assert run("launch", path, "--storage", storage, "--keep-going", *LAUNCH) == 3
    said = capsys.readouterr().out
    assert "stopped early" not in said and "10 of 10 trials failed" in said


def test_a_broken_method_fails_its_trials_and_no_others(tmp_path, capsys):
    phases = [{"method": "tests.commands.test_commands:Broken"}]
    own = {"broken": {"about": "b", "kind": "plain", "phases": phases}}
    path = study_file(tmp_path, arms=own, request=REQUEST | {"arms": ["broken", "ce"]})
    assert run("launch", path, "--storage", tmp_path / "runs", *LAUNCH) == 3
    said = capsys.readouterr().out
    assert "arm 'broken': 2 of 2 trials failed (code): RuntimeError: broken on purpose" in said
    assert "arm 'ce'" not in said
    traceback = next(tmp_path.glob("runs/trials/broken-*/attempts/1/traceback.txt"))
    assert "broken on purpose" in traceback.read_text()
    results = json.loads((tmp_path / "runs/results.json").read_text())
    assert results["arms"]["broken"]["trials"]["failed"] == 2
    assert results["arms"]["ce"]["trials"]["completed"] == 2
    capsys.readouterr()
    run("status", tmp_path / "runs")
    assert "broken on purpose" in capsys.readouterr().out


class Broken(CrossEntropy):
    """A method with a mistake in it, which its first step does not show."""

    def forward(self, outputs, batch):
        if batch.progress > 0.5:
            raise RuntimeError("broken on purpose")
        return super().forward(outputs, batch)


@pytest.mark.parametrize(
    ("modules", "slow"),
    [("run_sweep", "torch"), (", ".join(f"pipelines.commands.{name}" for name in QUICK), "ray")],
)
def test_the_quick_commands_stay_quick(modules: str, slow: str, tmp_path):
    code = f"import sys, {modules}; sys.exit({slow!r} in sys.modules)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True)


def test_the_version_is_the_packages_own(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"untuned {version('untuned')}\n"


def test_names_between_commas_may_have_spaces(tmp_path, capsys):
    storage = tmp_path / "runs"
    arms = ("--arms", "ce, gce ,", "--trials", 0, "--repeats", 1)
    assert run("launch", study_file(tmp_path), "--storage", storage, *arms, *LAUNCH) == 0
    assert {key.split("-")[0] for key in trial_results(storage)} == {"ce", "gce"}


def test_without_a_command_the_default_study_is_launched_with_default_options(monkeypatch):
    launched = []

    def run_launch(*arguments):
        launched.append(arguments[:-1])
        return 7

    monkeypatch.setattr("pipelines.commands.launch.run_launch", run_launch)
    assert run() == 7 and launched == [("digits", {}, Options(), False)]


@pytest.mark.slow
def test_every_trial_is_in_the_wandb_files(tmp_path, capsys):
    """Config, history and summary of each trial, read back from what the real client wrote."""
    storage = tmp_path / "runs"
    offline = [*LAUNCH[:3], "offline", *LAUNCH[4:]]
    assert run("launch", study_file(tmp_path), "--storage", storage, *offline) == 0
    assert f"W&B files: {storage}/wandb\n" in capsys.readouterr().out
    wandb.teardown()
    study_id = json.loads((storage / "study.json").read_text())["id"]
    logged = {one.run.run_id.removesuffix(f"-{study_id}"): one for one in offline_runs(storage)}
    results = trial_results(storage)
    assert set(logged) == set(results)
    for key, result in results.items():
        one = logged[key]
        spec = json.loads((storage / "trials" / key / "spec.json").read_text())
        history = storage / "trials" / key / "attempts/1/history.json"
        rows = json.loads(history.read_text())["rows"]
        assert one.exit_code == 0
        assert (one.run.run_group, one.run.job_type) == ("small", spec["role"])
        assert one.config["config"] == spec["config"] and one.config["run_seed"] == spec["run_seed"]
        assert [row["epoch"] for row in one.history] == [row["epoch"] for row in rows]
        assert one.history[-1]["val/accuracy"] == rows[-1]["val/accuracy"]
        assert one.summary["val/last"] == result["val"]["last"]
        assert not [name for name in one.summary if "test" in name or "held_out" in name]
