"""A run that is interrupted and resumed: its rows are there, each once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.runs import KEY, SPEC, rows, tracked, written

pytestmark = pytest.mark.usefixtures("client")


# Interrupted and resumed, offline


def test_a_resumed_run_is_whole_and_replaces_its_predecessors(tmp_path: Path):
    with tracked(tmp_path, "offline", spec=SPEC | {"key": f"{KEY}-1"}) as other:
        other.log({"epoch": 1})
    for history, new in (([], rows(1, 3)), (rows(1, 2), rows(3, 4))):
        with pytest.raises(KeyboardInterrupt), tracked(tmp_path, "offline", history) as run:
            for row in new:
                run.log(row)
            raise KeyboardInterrupt
    assert len(written(tmp_path)) == 3
    with tracked(tmp_path, "offline", rows(1, 4)) as run:
        run.log(*rows(5, 5))
    by_key = {r.run.run_id: r for r in written(tmp_path)}
    assert len(written(tmp_path)) == 2
    assert by_key[KEY].history == rows(1, 5) and by_key[KEY].run.resume
    assert by_key[f"{KEY}-1"].history == [{"epoch": 1}]


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from tests.tracking.runs import rows, tracked
own = sys.argv[2] == "own"
if own:
    signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
with tracked(Path(sys.argv[1]), "offline") as run:
    for row in rows(1, 3):
        run.log(row)
    time.sleep(float(sys.argv[3]))
    print("logged", flush=True)
    sys.stdin.readline()
    run.log(*rows(4, 4))
"""


def interrupted(directory: Path, handler: str = "default", wait: float = 0.0) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, directory, handler, str(wait)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "logged\n"
    return process


def test_sigterm_loses_no_row(tmp_path: Path):
    with interrupted(tmp_path) as process:
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    [logged] = written(tmp_path)
    assert logged.history == rows(1, 3) and logged.exit_code == 1


@pytest.mark.slow
def test_sigterm_is_left_to_a_program_that_handles_it(tmp_path: Path):
    with interrupted(tmp_path, "own") as process:
        assert process.stdin and process.stdout
        process.terminate()
        assert process.stdout.readline() == "told\n"
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.wait() == 0
    assert written(tmp_path)[0].history == rows(1, 4)


@pytest.mark.slow
def test_kill_9_loses_a_second_or_two(tmp_path: Path):
    with interrupted(tmp_path, wait=2.5) as process:
        process.kill()
    [logged] = written(tmp_path)
    assert logged.history == rows(1, 3) and logged.exit_code is None
