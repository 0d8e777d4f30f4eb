"""A study as a job of SLURM, by deploy/slurm.sh, and what a test waits for."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.slurm import PATIENCE, ROOT, Slurm

SCRIPT = str(ROOT / "deploy" / "slurm.sh")


class Job:
    """A study on two of the nodes, one processor on each."""

    def __init__(self, cluster: Slurm, name: str, *sbatch: str, user: str | None = None) -> None:
        self.cluster, self.storage, self.user = cluster, cluster.folder / name, user
        self.sbatch = ("-N2", "-c1", "--mem=2000", "-t", "60", *sbatch)
        self.id = ""

    @property
    def launch(self) -> list[str]:
        launch = ["cut.yaml", "--storage", str(self.storage), "--arms", "ce,l2rw"]
        return [*launch, "--checkpoint-seconds", "0.2"]

    @property
    def options(self) -> list[str]:
        return [*self.sbatch, f"--output={self.storage}-%j.out"]

    def submit(self) -> None:
        self.id = self.cluster.submit(*self.options, SCRIPT, *self.launch, user=self.user)

    def submit_by_launch(self) -> str:
        """`untuned launch STUDY --on slurm`, and what it tells."""
        told = untuned(self.cluster, "launch", *self.launch, "--on", "slurm", "--", *self.options)
        [self.id] = re.findall(r"^Job (\d+): ", told)
        return told

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not list(self.storage.glob(pattern)):
            assert time.monotonic() < deadline, self.cluster.said(self.id)
            time.sleep(0.2)

    def wait(self, *states: str) -> dict[str, str]:
        return self.cluster.wait(self.id, *states)

    def trials(self) -> list[psutil.Process]:
        """The processes on its machines that run trials."""
        return [process for process in psutil.process_iter() if _runs_a_trial_of(process, self.id)]

    def leaves_nothing(self) -> bool:
        """Neither files of Ray nor a token on the machines."""
        number = self.cluster.job(self.id)["JobId"]  # a task of an array has one of its own
        left = [*Path("/tmp").glob(f"untuned-{number}-*")]
        return not left and not list(Path.home().glob(".untuned-token*"))


def _runs_a_trial_of(process: psutil.Process, job: str) -> bool:
    try:
        command = " ".join(process.cmdline())
        mine = process.environ().get("SLURM_JOB_ID") == job
        return mine and command.startswith("ray::ImplicitFunc")  # as Tune names them
    except psutil.Error:
        return False


def untuned(cluster: Slurm, *words: str) -> str:
    """What a command prints on a login node."""
    return cluster.say(sys.executable, str(ROOT / "run_sweep.py"), *words)


@contextmanager
def another_user() -> Iterator[str]:
    """A user of this machine, for as long as the context."""
    name = f"untuned{uuid.uuid4().hex[:6]}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        yield name
    finally:  # what SLURM ran as this user has ended, or is about to
        subprocess.run(["userdel", "--force", "--remove", name], check=True, capture_output=True)


def environment_of(user: str, cluster: Slurm) -> dict[str, str]:
    """Where `user` finds programs.

    Those of this environment or, if its Python is closed to others, the system's Python with this
    environment's packages.
    """
    if _runs([sys.executable, "-c", ""], user):
        return {}
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    packages = sysconfig.get_path("purelib")
    if not _runs(["env", f"PYTHONPATH={packages}", python, "-c", "import ray, torch"], user):
        pytest.skip(f"another user can run neither {sys.executable} nor {python} with its packages")
    folder = cluster.folder / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(python)
    for name, module in (("ray", "ray.scripts.scripts"), ("untuned", "run_sweep")):
        (folder / name).write_text(f'#!/bin/sh\nexec {folder}/python -m {module} "$@"\n')
        (folder / name).chmod(0o755)
    path = f"{folder}:{cluster.environment['PATH']}"
    return {"PATH": path, "PYTHONPATH": f"{ROOT}:{packages}"}


def _runs(command: list[str], user: str) -> bool:
    done = subprocess.run(["runuser", "-u", user, "--", *command], capture_output=True, check=False)
    return done.returncode == 0
