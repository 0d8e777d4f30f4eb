"""Damaged files of a study, as a person meets them."""

import pytest

from tests.commands.test_commands import run


def test_damage_is_named_by_status_and_doctor_and_run_again_on_demand(
    tmp_path, capsys: pytest.CaptureFixture
):
    launch = ("launch", "digits", "--arms", "ce", "--quick", "--seeds", "1", "--repeats", "1")
    options = ("--executor", "inline", "--wandb", "disabled", "--storage", tmp_path)
    assert run(*launch, *options) == 0
    assert run("doctor", tmp_path) == 0
    [history] = tmp_path.glob("trials/*/attempts/1/history.json")
    history.write_bytes(history.read_bytes().replace(b"train/loss", b"train/boss", 1))
    capsys.readouterr()
    assert run("status", tmp_path) == 0
    line = f"damaged: {history.parts[-4]}: attempts/1/history.json is damaged or gone: `launch"
    assert line in capsys.readouterr().out
    assert run("doctor", tmp_path) == 1
    assert line in capsys.readouterr().out
    assert run(*launch, *options, "--retry", "damaged") == 0
    assert run("doctor", tmp_path) == 0


def test_a_storage_that_fails_is_told_in_one_line_by_every_command(tmp_path, capsys):
    launch = ("launch", "digits", "--arms", "ce", "--quick", "--seeds", "1", "--repeats", "1")
    options = ("--executor", "inline", "--wandb", "disabled", "--storage", tmp_path)
    (tmp_path / "results.json").mkdir(parents=True)
    assert run(*launch, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: a file or the storage failed: Is a directory: ")
    assert said.count("\n") == 1 and "results.json" in said
