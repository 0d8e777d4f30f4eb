"""What is on a terminal or in a pipe, whatever it can show and whoever reads it."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import run_sweep
from pipelines.commands.printing import logged_lines
from pipelines.commands.screen import Screen, screens
from pipelines.errors import UserError
from tests.support.terminal import on_terminal, rendered

ROOT = Path(run_sweep.__file__).parent
PROGRAM = [sys.executable, str(ROOT / "run_sweep.py")]
STUDY = """
protocol:
  data: {source: digits}
  splits: {meta: 40, val: 40, test: 100}
  schedule: {epochs: 1}
request: {arms: [ce, gce], trials: 0, repeats: 2, seeds: 1, curve: false}
"""


def written(text: str, encoding: str) -> bytes:
    raw = io.BytesIO()
    screen = Screen(io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    assert screen.write(text) == len(text)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"77 +- 5 - ... a cafe ??"),
        ("latin-1", b"77 \xb1 5 - ... a caf\xe9 ??"),
        ("cp1252", b"77 \xb1 5 \x96 \x85 a caf\xe9 ??"),
        ("utf-8", "77 ± 5 – … a café 數據".encode()),
        ("utf-16-le", "77 ± 5 – … a café 數據".encode("utf-16-le")),
    ],
)
def test_what_an_encoding_lacks_is_shown_by_something_alike(encoding: str, shown: bytes):
    assert written("77 ± 5 – … a café 數據", encoding) == shown


def test_where_nobody_reads_it_is_silent_to_the_end():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        screen = Screen(stream)
        for _ in range(2):
            screen.write("lost")
            screen.flush()


def test_a_full_disk_is_an_error_of_one_line():
    with open("/dev/full", "w") as stream:
        screen = Screen(stream)
        screen.write("lost")
        with pytest.raises(UserError, match=r"\A/dev/full: No space left on device\Z"):
            screen.flush()


def test_every_character_can_be_written_somehow():
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    for encoding in ("ascii", "latin-1", "cp437", "shift-jis"):
        assert written(everything, encoding)


def test_a_closed_standard_output_shows_nothing_and_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with screens():
        print("nothing")


def test_what_is_logged_is_no_error_line(capsys):
    with logged_lines(Console()):
        logging.getLogger("pipelines.tracking.mode").warning("W&B: %s", "offline")
    assert capsys.readouterr() == ("W&B: offline\n", "")


LAUNCH = ("launch", "é/s.yaml", "--executor", "inline", "--storage", "é/runs", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study in a folder with a name that is no ASCII."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "é").mkdir()
    (folder / "é/s.yaml").write_text(f"about: é – ü\n{STUDY}", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (LAUNCH, 0),
        (("status", "é/runs"), 0),
        (("report", "é/runs"), 0),
        (("plan", "é/s.yaml"), 0),
        (("best", "é/runs"), 0),
        (("suspects", "é/runs"), 0),
        (("doctor", "é/runs"), 0),
        (("prune", "é/runs"), 0),
        (("arms",), 0),
        (("studies",), 0),
        (("--help",), 0),
        (("status", "é–數"), 2),
    ],
)
def test_every_command_ends_in_ascii_as_it_does_in_utf_8(words, status, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    if "é/runs" in words and not (folder / "é/runs").exists():  # another process may have them
        in_ascii(LAUNCH, monkeypatch)
    ended, said, error = in_ascii(words, monkeypatch)
    assert (ended, error.count("\n")) == (status, int(status > 0))
    assert bool(said) == (status == 0)


def in_ascii(words, monkeypatch):
    """The exit status of a command whose terminal is ASCII, and what it wrote to both streams."""
    raw = [io.BytesIO(), io.BytesIO()]
    for name, file in zip(("stdout", "stderr"), raw, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(file, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["run_sweep.py", *words])
    with pytest.raises(SystemExit) as ended:
        run_sweep.main()
    said, error = (file.getvalue().decode("ascii") for file in raw)
    return ended.value.code or 0, said, error


@pytest.mark.slow
def test_files_are_read_alike_in_every_locale(folder: Path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*PROGRAM, *LAUNCH],
        env={**os.environ, "WANDB_MODE": "disabled"} | locale,
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    request = json.loads((folder / "é/runs/request.json").read_text("utf-8"))
    assert request["about"] == "é – ü"


FAILING = """
import run_sweep
from pipelines.ledger.ledger import Ledger
real, made = Ledger.new_attempt, []

def full(self, key):
    made.append(key)
    if len(made) == 3:
        raise OSError(28, "No space left on device")
    return real(self, key)

Ledger.new_attempt = full
run_sweep.main()
"""


@pytest.mark.slow
def test_an_error_line_stands_alone_below_a_progress_table(tmp_path: Path):
    """On one terminal, and where standard error is a pipe."""
    (tmp_path / "s.yaml").write_text(STUDY)
    environment = {**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    for name, error_apart in (("one", False), ("two", True)):
        words = [
            "launch",
            str(tmp_path / "s.yaml"),
            "--storage",
            str(tmp_path / name),
            *LAUNCH[2:4],
        ]
        command = [sys.executable, "-c", FAILING, *words]
        seen = on_terminal(command, environment, error_apart=error_apart)
        line = "error: the launch failed (No space left on device): what had finished is kept in"
        assert seen.status == 2
        if error_apart:
            assert seen.error.startswith(line) and seen.error.count("\n") == 1
        else:
            assert seen.lines[-1].startswith(line)
        assert sum("error" in shown for shown in seen.lines) == (not error_apart)


@pytest.mark.slow
def test_a_launch_goes_on_where_its_terminal_is_gone_or_nobody_reads(tmp_path: Path):
    (tmp_path / "é").mkdir()
    (tmp_path / "é/s.yaml").write_text(STUDY)
    shell = "; echo ${PIPESTATUS[0]}"
    words = " ".join([*PROGRAM, *LAUNCH])
    done = subprocess.run(
        ["bash", "-c", f"{words} 2>&1 | true{shell}"],
        cwd=tmp_path,
        env={**os.environ, "WANDB_MODE": "disabled"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "") and (tmp_path / "é/runs/report.md").exists()


def test_what_is_drawn_over_is_not_seen():
    assert rendered("a\r\nb 10%\r\x1b[2Kb 20%\r\n\x1b[1A\x1b[2Kerror: c\r\n") == ["a", "error: c"]
