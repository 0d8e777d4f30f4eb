"""The commands `launch STUDY ... --on slurm` and `join JOB`: batch jobs of SLURM.

A job is deploy/slurm.sh with this Python's environment filled in. Several studies are a job array.
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
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.commands.options import Options
from pipelines.commands.printing import print_line
from pipelines.commands.which_study import default_storage, study_named
from pipelines.errors import UserError, one_line

SCRIPT = Path(__file__).parent / "templates" / "slurm.sh"
SAYS = re.compile(r"^sbatch: (error: )?")  # what each line begins with of what sbatch has to say
NO_TASK = str(2**32 - 2)
ENVIRONMENT = "# source /path/to/.venv/bin/activate"  # the line of the script that is filled in


def submit(
    words: Sequence[str],
    request: dict[str, Any],
    options: Options,
    quick: bool,
    console: Console,
) -> None:
    """Hand launches to SLURM, and tell where to look.

    words: names of studies, then options of sbatch, such as --nodes=4; several studies are the
    tasks of a job array, numbered from 0. request, options, quick: of each launch, as on its
    command line.

    Raises:
        UserError: there is no such study, two share a storage, there is no SLURM here, or it does
            not take the job.
    """
    for option, value in (("address", options.address), ("executor", options.executor)):
        if value != getattr(Options(), option):
            raise UserError(
                f"--{option} {value!r}: not with --on slurm, whose job has a Ray of its own"
            )
    names = list(takewhile(lambda word: not word.startswith("-"), words))
    storages = _storages(names, request, options, quick)
    several = [f"--array=0-{len(names) - 1}"] if len(names) > 1 else []
    job_name = "untuned" if several else next(iter(storages.values()))
    given = [f"--job-name={job_name}", *several, *words[len(names) :]]
    job = _sbatch(given, [*names, *typed(request, options, quick)], console)
    if not job:  # --test-only
        return
    for number, (storage, study) in enumerate(storages.items()):
        task = f"{job}_{number}" if several else job
        lines = [
            f"Job {task}: {study}, kept in {storage}; it prints to {_output_of(task)}",
            f"  squeue --job {task}          whether it runs",
            f"  untuned status {shlex.quote(storage)}",
            f"  untuned join {task}          more machines for it, while it runs",
            f"  scancel {task}               stops it: what was done is kept, "
            "the same command goes on",
        ]
        for line in lines:
            print_line(line, console)


def _storages(
    names: Sequence[str], request: dict[str, Any], options: Options, quick: bool
) -> dict[str, str]:
    """The study that each storage is for, in the order of `names`."""
    from pipelines.commands.launch import rehearsal  # loads what a launch needs

    if options.storage and len(names) > 1:
        raise UserError(
            f"--storage {options.storage!r}: of {len(names)} studies each needs one of its own; "
            "leave the option out"
        )
    studies: dict[str, str] = {}
    for name in names:
        study, place = study_named(name, request)
        if quick:
            study, place = rehearsal(study, request), None
        storage = options.storage or place or default_storage(study.name)
        if storage in studies:
            raise UserError(f"{name}: kept in {storage!r}, as another of these studies")
        studies[storage] = study.name
    return studies


def submit_join(job: str, sbatch: Sequence[str], console: Console) -> None:
    """Hand SLURM a job whose machines join those of another one, and tell where to look.

    job: of `submit`, as SLURM numbers it: 17, or 17_0 of a job array. sbatch: options of it.

    Raises:
        UserError: there is no such job any more, no SLURM here, or it does not take the new one.
    """
    given = [f"--job-name=join-{job}", f"--dependency=after:{job}", *sbatch]
    joining = _sbatch(given, ["--join", job], console)
    if joining:
        lines = [
            f"Job {joining}: joins job {job} and ends with it; it prints to {_output_of(joining)}",
            f"  scancel {joining}               its trials go on elsewhere",
        ]
        for line in lines:
            print_line(line, console)


def typed(request: dict[str, Any], options: Options, quick: bool) -> list[str]:
    """The options of a launch as they are typed."""
    given = [*request.items(), ("quick", quick)]
    given += [(f.name, getattr(options, f.name)) for f in fields(Options)]
    defaults = {f.name: f.default for f in fields(Options)} | {"quick": False}
    line: list[str] = []
    for name, value in given:
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


def _sbatch(options: Sequence[str], arguments: Sequence[str], console: Console) -> str:
    """The number of a job that SLURM takes; it keeps a copy of the script.

    Without one (--test-only), what SLURM says is printed.
    """
    if shutil.which("sbatch") is None:
        raise UserError("sbatch: there is no such command here; it is on a login node")
    script = script_here()
    with tempfile.TemporaryDirectory(prefix="untuned-") as folder:
        path = Path(folder) / "slurm.sh"
        path.write_text(script)
        command = ["sbatch", "--parsable", *options, str(path), *arguments]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        faults = [SAYS.sub("", line).strip() for line in said.stderr.splitlines()]
        raise UserError(f"sbatch: {'; '.join(filter(None, faults)) or 'it does not take the job'}")
    job = said.stdout.strip().partition(";")[0]  # a cluster's name may follow
    if not job:
        print_line(one_line(Exception(said.stderr)), console)
    return job


def _output_of(job: str) -> str:
    """The file that a job prints to; where SLURM does not tell, the one that it has by default."""
    said = subprocess.run(
        ["scontrol", "show", "job", "-o", job], capture_output=True, text=True, check=False
    )
    files = [word[7:] for word in said.stdout.split() if word.startswith("StdOut=")]
    # Tasks of an array that wait are one to SLURM, and have no number yet.
    task = job.partition("_")[2] or "*"
    return files[0].replace(NO_TASK, task) if files else f"slurm-{job}.out"
