"""Several studies as the tasks of a job array, on a real SLURM: each ends, and goes on, alone.

Run by `make test-cluster`; needs root, and Debian's packages slurm-wlm and munge.
"""

from __future__ import annotations

import re

import pytest
import yaml

from tests.deploy.conftest import CHECKPOINT, STUDY
from tests.deploy.slurm_job import Job, untuned
from tests.support.slurm import Slurm

pytestmark = [pytest.mark.cluster]


def submitted(cluster: Slurm, *names: str) -> list[Job]:
    """The tasks of one array, by `untuned launch STUDY STUDY --on slurm`."""
    tasks = [Job(cluster, f"runs/{name}", "--nodes=1") for name in names]
    for name in names:
        (cluster.folder / f"{name}.yaml").write_text(yaml.safe_dump(STUDY | {"name": name}))
    options = ["--arms", "ce,l2rw", "--checkpoint-seconds", "0.2", "--on", "slurm", "--"]
    files = [f"{name}.yaml" for name in names]
    told = untuned(cluster, "launch", *files, *options, *tasks[0].sbatch)
    for task, number in zip(tasks, re.findall(r"^Job (\d+_\d+): ", told, re.M), strict=True):
        task.id = number
    return tasks


def test_a_task_that_is_requeued_goes_on_and_one_that_is_cancelled_is_the_only_one(
    cluster: Slurm, judge
):
    tasks = submitted(cluster, "one", "two")
    for task in tasks:
        task.wait_for(CHECKPOINT)
    cluster.say("scontrol", "requeue", tasks[0].id)
    cluster.say("scancel", tasks[1].id)
    tasks[1].wait("CANCELLED")
    assert "Stopped by SIGUSR1" in cluster.said(tasks[1].id)
    assert list(tasks[1].storage.glob(CHECKPOINT)) and tasks[1].leaves_nothing()
    done = tasks[0].wait("COMPLETED", "FAILED", "CANCELLED")
    assert (done["ExitCode"], done["Restarts"]) == ("0:0", "1"), cluster.said(tasks[0].id)
    assert tasks[0].leaves_nothing()
    judge(tasks[0].storage, "two studies as an array, one requeued", "its processes: SIGTERM")
    again = submitted(cluster, "one", "two")
    for task in again:
        ended = task.wait("COMPLETED", "FAILED")
        assert ended["ExitCode"] == "0:0", cluster.said(task.id)
    assert "complete" in cluster.said(again[0].id)
    judge(tasks[1].storage, "the other cancelled, the array again", "its processes: SIGTERM")
