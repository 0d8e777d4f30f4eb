"""`launch STUDY --on slurm` and `join JOB`: what sbatch is given, and what a person is told."""

import stat
import sys
from pathlib import Path

import pytest

from pipelines.commands import submit
from pipelines.commands.options import Options, Retried
from pipelines.errors import UserError
from tests.commands.test_commands import run

SBATCH = '#!/bin/sh\nprintf "%s\\n" "$@" > "$SAID"\nfor last; do :; done\n'


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A command of that name, which notes its arguments and does `then`."""

    def install(then: str) -> Path:
        program = tmp_path / "bin" / "sbatch"
        program.parent.mkdir()
        program.write_text(SBATCH + then)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.setenv("SAID", str(tmp_path / "said"))
        monkeypatch.chdir(tmp_path)
        return tmp_path / "said"

    return install


def test_the_launch_is_handed_over_word_for_word_with_the_options_of_sbatch(sbatch, capsys):
    said = sbatch("echo '17;cluster'")
    launch = ["digits", "--arms", "ce, gce", "--storage", "s3://b/x y", "--retry", "failed"]
    launch += ["--retry", "diverged", "--takeover", "--concurrent", "3", "--quick"]
    assert run("launch", *launch, "--on", "slurm", "--", "--nodes=4", "-t", "5") == 0
    before, after = given_to(said)
    assert before == ["--parsable", "--job-name=digits-quick", "--nodes=4", "-t", "5"]
    assert after == [
        *("digits", "--arms", "ce,gce", "--quick", "--storage", "s3://b/x y"),
        *("--concurrent", "3", "--retry", "failed", "--retry", "diverged", "--takeover"),
    ]
    told = capsys.readouterr().out
    assert "Job 17: digits-quick, kept in s3://b/x y" in told and "scancel 17" in told
    assert "untuned status 's3://b/x y'" in told


def given_to(said: Path) -> tuple[list[str], list[str]]:
    """The words of sbatch before its script, and those behind it."""
    words = said.read_text().splitlines()
    script = next(number for number, word in enumerate(words) if word.endswith("slurm.sh"))
    return words[:script], words[script + 1 :]


def test_several_studies_are_the_tasks_of_a_job_array(sbatch, capsys):
    said = sbatch("echo 17")
    more = ["--arms", "ce", "--on", "slurm", "--", "--array=0-1%1", "-t", "5"]
    assert run("launch", "digits", "digits_rates", *more) == 0
    assert given_to(said) == (
        ["--parsable", "--job-name=untuned", "--array=0-1", "--array=0-1%1", "-t", "5"],
        ["digits", "digits_rates", "--arms", "ce"],
    )
    told = capsys.readouterr().out
    assert "Job 17_0: digits, kept in runs/digits; it prints to slurm-17_0.out" in told
    assert "Job 17_1: digits_rates, kept in runs/digits_rates" in told and "scancel 17_1" in told


def test_where_a_task_that_has_no_number_yet_will_print_is_told(sbatch, tmp_path, capsys):
    sbatch("echo 17")
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "JobId=17 StdOut=/home/me/slurm-17_4294967294.out"\n')
    scontrol.chmod(0o755)
    assert run("launch", "digits", "digits_rates", "--on", "slurm") == 0
    told = capsys.readouterr().out
    assert "/home/me/slurm-17_0.out" in told and "/home/me/slurm-17_1.out" in told
    assert run("join", "5", "--", "--array=1-8") == 0
    assert "it prints to /home/me/slurm-17_*.out" in capsys.readouterr().out


def test_a_job_that_joins_waits_for_the_one_that_it_joins(sbatch, capsys):
    said = sbatch("echo 18")
    assert run("join", "17_0", "--", "--nodes=2", "-t", "5") == 0
    before = ["--parsable", "--job-name=join-17_0", "--dependency=after:17_0", "--nodes=2"]
    assert given_to(said) == ([*before, "-t", "5"], ["--join", "17_0"])
    told = capsys.readouterr().out
    assert "Job 18: joins job 17_0 and ends with it; it prints to slurm-18.out" in told


def test_an_unknown_job_is_not_joined(sbatch, capsys):
    sbatch("echo 'sbatch: error: Batch job submission failed: Job dependency problem' >&2; exit 1")
    assert run("join", "99") == 2
    error = "error: sbatch: Batch job submission failed: Job dependency problem\n"
    assert capsys.readouterr().err == error


def test_defaults_are_not_typed():
    assert submit.typed({}, Options(), quick=False) == []
    assert submit.typed({"trials": 0}, Options(retry=[Retried.FAILED]), quick=False) == [
        *("--trials", "0", "--retry", "failed")
    ]


def test_the_job_runs_in_this_environment():
    programs = Path(sys.executable).parent
    script = submit.script_here()
    assert f"\nexport PATH={programs}:$PATH" in script
    assert submit.ENVIRONMENT in submit.SCRIPT.read_text() and submit.ENVIRONMENT not in script


def test_an_environment_without_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="there is no `untuned` beside it"):
        submit.script_here()


@pytest.mark.parametrize(
    ("then", "words", "says"),
    [
        ("echo 1", ["--address", "auto"], "--address 'auto': not with --on slurm"),
        ("echo 1", ["--executor", "inline"], "--executor 'inline': not with --on slurm"),
        ("echo 1", ["--arms", "cee"], "arm 'cee' is unknown"),
        ("echo 1", ["digits"], "digits: kept in 'runs/digits', as another of these studies"),
        (
            "echo 1",
            ["digits_rates", "--storage", "x"],
            "--storage 'x': of 2 studies each",
        ),
        (
            "echo 'sbatch: error: none: no partition\nsbatch: error: not submitted' >&2; exit 1",
            [],
            "error: sbatch: none: no partition; not submitted\n",
        ),
        ("exit 1", [], "error: sbatch: it does not take the job\n"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_submitted(then, words, says, sbatch, capsys):
    said = sbatch(then)
    assert run("launch", "digits", "--on", "slurm", *words) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not words or not said.exists()


def test_without_slurm_there_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("launch", "digits", "--on", "slurm") == 2
    assert "sbatch: there is no such command here" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--", "--nodes=4"], ["digits_rates"]])
def test_options_of_sbatch_and_several_studies_are_for_slurm_alone(more, capsys):
    assert run("launch", "digits", *more) == 2
    assert f"extra argument(s) ({more[-1]}): see --on slurm" in capsys.readouterr().err


def test_what_sbatch_says_of_a_trial_run_is_shown(sbatch, capsys):
    sbatch("echo 'sbatch: Job 3 to start at noon' >&2")
    assert run("launch", "digits", "--on", "slurm", "--", "--test-only") == 0
    assert "Job 3 to start at noon" in capsys.readouterr().out
