"""The command `launch STUDY --on slurm`: hands the launch to SLURM, as a batch job.

The job is deploy/slurm.sh with this Python's environment filled in.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.commands.options import Options
from pipelines.commands.printing import print_line
from pipelines.commands.which_study import default_storage, study_named
from pipelines.errors import UserError, one_line

SCRIPT = Path(__file__).parent / "templates" / "slurm.sh"
SAYS = re.compile(r"^sbatch: (error: )?")  # what each line begins with of what sbatch has to say
ENVIRONMENT = "# source /path/to/.venv/bin/activate"  # the line of the script that is filled in


def submit(
    name: str,
    request: dict[str, Any],
    options: Options,
    quick: bool,
    sbatch: Sequence[str],
    console: Console,
) -> None:
    """Hand a launch to SLURM, and tell where to look.

    name, request, options, quick: of the launch, as on its command line. sbatch: options of the
    command of that name, such as --nodes=4.

    Raises:
        UserError: there is no such study, no SLURM here, or it does not take the job.
    """
    from pipelines.commands.launch import rehearsal  # loads what a launch needs

    study, place = study_named(name, request)
    if quick:
        study, place = rehearsal(study, request), None
    storage = options.storage or place or default_storage(study.name)
    for option, value in (("address", options.address), ("executor", options.executor)):
        if value != getattr(Options(), option):
            raise UserError(
                f"--{option} {value!r}: not with --on slurm, whose job has a Ray of its own"
            )
    said = _sbatch(script_here(), study.name, sbatch, [name, *words(request, options, quick)])
    job = said.stdout.strip().partition(";")[0]  # a cluster's name may follow
    if not job:  # --test-only
        print_line(one_line(Exception(said.stderr)), console)
        return
    lines = [
        f"Job {job}: {study.name}, kept in {storage}; it prints to {_output_of(job)}",
        f"  squeue --job {job}          whether it runs",
        f"  untuned status {shlex.quote(storage)}",
        f"  scancel {job}               stops it: what was done is kept, the same command goes on",
    ]
    for line in lines:
        print_line(line, console)


def words(request: dict[str, Any], options: Options, quick: bool) -> list[str]:
    """The options of a launch as they are typed."""
    typed = [*request.items(), ("quick", quick)]
    typed += [(f.name, getattr(options, f.name)) for f in fields(Options)]
    defaults = {f.name: f.default for f in fields(Options)} | {"quick": False}
    line: list[str] = []
    for name, value in typed:
        option = f"--{name.replace('_', '-')}"
        if value == defaults.get(name):
            continue
        if value is True:
            line.append(option)
        elif name == "retry":
            line += [word for state in value for word in (option, str(state))]
        else:
            line += [option, ",".join(value) if isinstance(value, list) else str(value)]
    return line


def script_here() -> str:
    """The batch script, for this Python's environment.

    Raises:
        UserError: the environment has no command `untuned`, which the script calls.
    """
    programs = Path(sys.executable).parent
    if not (programs / "untuned").exists():
        raise UserError(
            f"{sys.executable}: there is no `untuned` beside it, which a job calls: install this "
            "project there (`make install`, or its wheel)"
        )
    found = f"export PATH={shlex.quote(str(programs))}:$PATH"
    return SCRIPT.read_text().replace(ENVIRONMENT, found)


def _sbatch(
    script: str, study: str, options: Sequence[str], arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """What SLURM says to a job; it keeps a copy of the script."""
    if shutil.which("sbatch") is None:
        raise UserError("sbatch: there is no such command here; --on slurm is for a login node")
    with tempfile.TemporaryDirectory(prefix="untuned-") as folder:
        path = Path(folder) / "slurm.sh"
        path.write_text(script)
        command = ["sbatch", "--parsable", f"--job-name={study}", *options, str(path), *arguments]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        faults = [SAYS.sub("", line).strip() for line in said.stderr.splitlines()]
        raise UserError(f"sbatch: {'; '.join(filter(None, faults)) or 'it does not take the job'}")
    return said


def _output_of(job: str) -> str:
    """The file that a job prints to; where SLURM does not tell, the one that it has by default."""
    said = subprocess.run(
        ["scontrol", "show", "job", "-o", job], capture_output=True, text=True, check=False
    )
    files = [word[7:] for word in said.stdout.split() if word.startswith("StdOut=")]
    return files[0] if files else f"slurm-{job}.out"
