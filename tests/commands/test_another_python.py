"""The command line under a Python that has nothing installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_says_where_the_right_python_is():
    bare = [sys.executable, "-I", "-S", "run_sweep.py", "status", "digits"]
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, check=False)
    [line] = done.stderr.splitlines()
    assert "has no module 'typer'" in line and ".venv/bin/untuned" in line
    assert done.returncode == 2 and not done.stdout
