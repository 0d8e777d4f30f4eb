"""Jobs of more machines, which join a study's job and come and go, on a real SLURM.

Run by `make test-cluster`; needs root, and Debian's packages slurm-wlm and munge.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.conftest import CHECKPOINT
from tests.deploy.slurm_job import SCRIPT, Job, another_user, environment_of, untuned
from tests.support.slurm import PATIENCE, Slurm

pytestmark = [pytest.mark.cluster]
LEAVES = "is about to go; its trials leave a checkpoint"


def started(cluster: Slurm, name: str) -> Job:
    """A study on one node, whose trials have left checkpoints."""
    study = Job(cluster, name, "--nodes=1")
    study.submit()
    study.wait_for(CHECKPOINT)
    return study


def joined(study: Job, *sbatch: str) -> Job:
    """A job of two more nodes, by `untuned join`."""
    job = Job(study.cluster, f"{study.storage.name}-more", *sbatch)
    told = untuned(study.cluster, "join", study.id, "--", *job.options)
    [job.id] = re.findall(r"^Job (\d+): ", told)
    return job


def wait_for_three_nodes(study: Job) -> None:
    """Until a launch has said that it has them."""
    wait_until(study, lambda text: "3 nodes, " in text.rpartition("Stopped by")[2])


def wait_until(study: Job, true: Callable[[str], bool]) -> None:
    """Of what a study's job has printed."""
    deadline = time.monotonic() + PATIENCE
    while not true(said(study)):
        assert time.monotonic() < deadline, said(study)
        time.sleep(0.3)


def said(*jobs: Job) -> str:
    return "\n".join(job.cluster.said(job.id) for job in jobs)


def test_a_job_that_joins_runs_trials_and_ends_with_the_study(cluster: Slurm, judge):
    study = started(cluster, "more")
    more = joined(study)
    wait_for_three_nodes(study)
    assert study.wait("COMPLETED", "FAILED")["ExitCode"] == "0:0", said(study)
    done = more.wait("COMPLETED", "FAILED", "CANCELLED")
    assert (done["JobState"], done["Restarts"]) == ("COMPLETED", "0"), said(study, more)
    assert study.leaves_nothing() and more.leaves_nothing()
    judge(study.storage, "two nodes join one, to the end", "nothing")


def test_a_job_that_joined_and_is_cancelled_leaves_checkpoints_and_the_study_goes_on(
    cluster: Slurm, judge
):
    study = started(cluster, "less")
    more = joined(study)
    wait_until(study, lambda text: len(more.trials()) == 2)
    cluster.say("scancel", more.id)
    more.wait("CANCELLED")
    wait_until(study, lambda text: text.count(" is gone") == 2)
    assert said(study).count(LEAVES) == 2, said(study, more)
    assert more.leaves_nothing()
    assert study.wait("COMPLETED", "FAILED")["ExitCode"] == "0:0", said(study, more)
    judge(study.storage, "two nodes join, and are cancelled", "all their processes: SIGTERM")


def test_a_job_that_joined_is_queued_again_before_its_time_limit(cluster: Slurm, judge):
    study = started(cluster, "limit")
    more = joined(study)
    wait_until(study, lambda text: len(more.trials()) == 2)
    cluster.say("scancel", "--signal=USR1", "--batch", more.id)  # as SLURM does it
    more.wait("PENDING")
    ended = [job.wait("COMPLETED", "FAILED", "CANCELLED") for job in (more, study)]
    assert [e["ExitCode"] for e in ended] == ["0:0"] * 2, said(study, more)
    assert ended[0]["Restarts"] == "1" and said(study).count(LEAVES) == 2, said(study, more)
    judge(study.storage, "two nodes join, to their time limit", "the script: SIGUSR1")


def test_a_job_that_joined_uses_the_grace_of_a_preemption_and_comes_back(cluster: Slurm, judge):
    study = started(cluster, "grace")
    more = joined(study)
    wait_until(study, lambda text: len(more.trials()) == 2)
    both = [
        {*cluster.say("scontrol", "show", "hostnames", cluster.job(job.id)["NodeList"]).split()}
        for job in (more, study)
    ]
    its = min(both[0] - both[1])  # not the study's: that would be preempted, too
    urgent = cluster.submit(
        "--partition=high", "-N1", "-c2", "-w", its, "-t", "1", "--wrap", "sleep 3"
    )
    cluster.wait(urgent, "COMPLETED")
    ended = [job.wait("COMPLETED", "FAILED", "CANCELLED") for job in (more, study)]
    assert [(e["ExitCode"], e["Restarts"]) for e in ended] == [("0:0", "1"), ("0:0", "0")], said(
        study, more
    )
    assert said(study).count(LEAVES) == 2, said(study, more)
    judge(study.storage, "two nodes join, and are preempted", "their job's steps: SIGTERM")


def test_when_the_study_is_queued_again_what_joined_it_is_too_and_comes_back(cluster: Slurm, judge):
    study = started(cluster, "both")
    more = joined(study)
    wait_for_three_nodes(study)
    cluster.say("scontrol", "requeue", study.id)
    more.wait("PENDING")
    assert more.leaves_nothing()
    wait_for_three_nodes(study)
    ended = [job.wait("COMPLETED", "FAILED", "CANCELLED") for job in (study, more)]
    assert [(e["ExitCode"], e["Restarts"]) for e in ended] == [("0:0", "1")] * 2, said(study, more)
    judge(study.storage, "requeued, with two nodes that joined", "its processes: SIGTERM")


def test_nobody_else_joins_and_what_joined_ends_with_a_study_that_is_cancelled(cluster: Slurm):
    study = Job(cluster, "gone", "--nodes=1")
    study.submit()
    study.wait("RUNNING")
    with another_user() as name, cluster.changed(environment_of(name, cluster)):
        folder = cluster.folder / name
        folder.mkdir()
        folder.chmod(0o777)
        options = ("-N1", "-c1", "--mem=2000", "-t", "5", f"--output={folder}/join.out")
        theirs = cluster.submit(*options, SCRIPT, "--join", study.id, user=name)
        done = cluster.wait(theirs, "COMPLETED", "FAILED")
        assert (done["ExitCode"], done["Restarts"]) == ("2:0", "0"), cluster.said(theirs)
        assert "denied" in cluster.said(theirs)
    [folder] = Path("/tmp").glob(f"untuned-{study.id}-*-0")  # with the password
    assert folder.stat().st_mode & 0o777 == 0o700
    more = joined(study)
    wait_for_three_nodes(study)
    cluster.say("scancel", study.id)
    study.wait("CANCELLED")
    assert more.wait("COMPLETED", "FAILED")["ExitCode"] == "0:0", said(study, more)
    assert study.leaves_nothing() and more.leaves_nothing()
