"""The GPU's benchmark, as a dry run on a CPU: what it keeps, and how it goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.findings import page
from benchmarks.record_file import Records

ROOT = Path(__file__).parents[2]


def run(out, *parts):
    command = [sys.executable, "-m", "benchmarks.gpu", str(out), *parts]
    command += ["--device", "cpu", "--tiny"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_record_that_a_kill_cut_off_is_none(tmp_path):
    records = Records(tmp_path)
    assert records.read() == []
    records.add({"part": "steps", "arm": "ce"})
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"part": "ste')
    assert records.read() == [{"part": "steps", "arm": "ce"}]


def test_a_part_that_was_not_done_begins_anew(tmp_path):
    records = Records(tmp_path)
    for part in ("ceilings", "sharing"):
        records.add({"part": part, "value": 1})
    records.drop("sharing")
    assert records.read() == [{"part": "ceilings", "value": 1}]


def test_the_page_has_a_table_for_each_part_and_says_how_it_ended():
    steps = {"part": "steps resnet32", "arm": "l2rw", "ratio_to_plain": 3.25}
    text = page([steps, {"part": "sharing", "end": "stopped after 60 s"}])
    assert "## steps resnet32\n\nstill running" in text and "| l2rw | 3.25 |" in text
    assert "## sharing\n\nstopped after 60 s" in text


def test_an_unknown_part_is_refused(tmp_path):
    done = run(tmp_path, "stesp")
    assert done.returncode == 2 and "stesp" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_parts_run_are_kept_and_not_run_again(tmp_path):
    done = run(tmp_path, "ceilings", "study flip")
    assert done.returncode == 0, done.stderr
    records = Records(tmp_path).read()
    assert [r["part"] for r in records if r.get("end") == "done"] == ["ceilings", "study flip"]
    trials = [r for r in records if r["part"] == "study flip" and "arm" in r]
    assert len(trials) == 24 and all(r["state"] in ("completed", "diverged") for r in trials)
    assert "## study flip" in (tmp_path / "findings.md").read_text()
    before = (tmp_path / "log.txt").stat().st_size
    run(tmp_path, "ceilings", "study flip")
    assert (tmp_path / "log.txt").stat().st_size == before
