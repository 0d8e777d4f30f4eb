"""What mistakes on the command line and in a study file look like: one line, status 2."""

import pytest
import torch

from tests.commands.test_commands import LAUNCH, run, study_file
from tests.conftest import DIGITS

MISTAKES = [
    (["launch", "nowhere"], "study 'nowhere'"),
    (["launch", "digits", "--arms", "cee"], "arm 'cee' is unknown"),
    (["launch", "digits", "--trials", "-1"], "request.trials = -1"),
    (["launch", "digits", "--executor", "slurm"], "--executor 'slurm': not one of 'ray', 'inline'"),
    (["launch", "digits", "--wandb", "maybe"], "--wandb 'maybe': not one of 'online', 'offline'"),
    (["launch", "digits", "--accelerator", ""], "request.accelerator = '': String should have at"),
    (["launch", "digits", "--labels", "spot"], "request.labels = 'spot': spot=: a label is KEY=VA"),
    (["launch", "digits", "--gpus-per-trial", "65"], "or a whole number of GPUs of one machine"),
    (["launch", "digits", "--gpus-per-trial", "1.5"], "--gpus-per-trial '1.5': must be auto, 0, "),
    (["launch", "digits", "--without", "gahter"], "--without 'gahter': must be among channels_las"),
    (["launch", "digits", "--storage", "/proc/nothing"], "/proc/nothing"),
    (["launch", "digits", "--storage", ""], "--storage ''"),
    (["launch", "digits", "--address", ""], "--address ''"),
    (["launch", "digits", "--retry", "lost"], "--retry 'lost': not one of 'failed', 'diverged'"),
    (["launch", "digits", "--concurrent", "0"], "--concurrent '0': must be greater than or equal"),
    (["launch", "digits", "--trials", "many"], "--trials 'many': must be a valid integer"),
    (["launch", "digits", "--checkpoint-seconds", "nan"], "--checkpoint-seconds 'nan': must be"),
    (["launch", "digits", "--seeds"], "'--seeds' requires an argument"),
    (["launch", "digits", "--exekutor", "ray"], "--exekutor. Did you mean --executor, "),
    (["launch", "one", "two"], "unexpected extra argument(s) (two)"),
    (["lunch"], "'lunch'. Did you mean 'launch'?"),
    (["--versoin"], "--versoin. Did you mean --version?"),
    (["status"], "Missing argument 'directory'"),
    (["status", "/nowhere"], "/nowhere"),
    (["report", "/nowhere"], "/nowhere"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_device_that_is_not_there(capsys, tmp_path):
    assert run("launch", study_file(tmp_path), "--device", "cuda", "--storage", tmp_path / "r") == 2
    assert "'cuda' is not available" in capsys.readouterr().err and not (tmp_path / "r").exists()


BAD_PROTOCOLS = [
    ({"splits": {"meta": 50, "val": 50, "test": 5000}}, "splits"),
    ({"data": {"source": "image_folder", "path": "nowhere"}}, "nowhere"),
    ({"data": {"source": "digits", "labels": {"file": "nothing.csv"}}}, "nothing.csv"),
    ({"model": {"name": "mlp", "options": {"depth": 3}}}, "depth"),
    ({"model": {"name": "resnet9"}}, "resnet9"),
    ({"data": {"source": "arrays", "path": "x.npz"}}, "x.npz"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PROTOCOLS)
def test_a_protocol_that_cannot_run_leaves_no_half_made_study(change, message, tmp_path, capsys):
    path = study_file(tmp_path, protocol=DIGITS | change)
    assert run("launch", path, "--storage", tmp_path / "runs", *LAUNCH) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
