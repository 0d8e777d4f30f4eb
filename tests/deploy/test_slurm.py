"""deploy/slurm.sh on a real SLURM of three emulated nodes; whatever is cut, results stay the same.

Run by `make test-cluster`; needs root, and Debian's packages slurm-wlm and munge.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.deploy.conftest import CHECKPOINT
from tests.deploy.slurm_job import SCRIPT, Job, another_user, environment_of
from tests.support.slurm import PATIENCE, Slurm

pytestmark = [pytest.mark.cluster]


def test_a_study_that_launch_submits_runs_to_its_end_on_three_nodes(cluster: Slurm, judge):
    job = Job(cluster, "run", "--nodes=3")
    told = job.submit_by_launch()
    done = job.wait("COMPLETED", "FAILED")
    assert (done["ExitCode"], done["NodeList"]) == ("0:0", "n[1-3]"), cluster.said(job.id)
    assert job.leaves_nothing() and done["StdOut"] in told
    judge(job.storage, "launch --on slurm, three nodes", "nothing")


def test_scancel_leaves_checkpoints_and_nothing_else_and_the_next_job_may_come_at_once(
    cluster: Slurm, judge
):
    job = Job(cluster, "scancel")
    job.submit()
    job.wait_for(CHECKPOINT)
    cluster.say("scancel", job.id)
    job.wait("CANCELLED")
    assert "Stopped by SIGUSR1" in cluster.said(job.id)
    assert list(job.storage.glob(CHECKPOINT)) and job.leaves_nothing()
    job.submit()
    assert job.wait("COMPLETED", "FAILED")["ExitCode"] == "0:0", cluster.said(job.id)
    judge(job.storage, "scancel, submitted again at once", "all processes of the job: SIGTERM")


def test_scancel_by_sigkill_is_no_other_to_slurm(cluster: Slurm, judge):
    job = Job(cluster, "killed")
    job.submit()
    job.wait_for(CHECKPOINT)
    cluster.say("scancel", "--full", "--signal=KILL", job.id)
    job.wait("CANCELLED")
    assert "Stopped by SIGUSR1" in cluster.said(job.id) and job.leaves_nothing()
    job.submit()
    assert job.wait("COMPLETED", "FAILED")["ExitCode"] == "0:0", cluster.said(job.id)
    judge(job.storage, "scancel --signal=KILL, again at once", "all processes of the job: SIGTERM")


def test_at_the_time_limit_a_job_stops_in_order_and_is_queued_again(cluster: Slurm, judge):
    job = Job(cluster, "limit", "--signal=B:USR1@120")
    job.submit()
    job.wait_for(CHECKPOINT)
    begun = datetime.fromisoformat(cluster.job(job.id)["StartTime"])
    minutes = (datetime.now() - begun) // timedelta(minutes=1) + 2
    cluster.say("scontrol", "update", f"JobId={job.id}", f"TimeLimit={minutes}")
    job.wait("PENDING")
    cluster.say("scontrol", "update", f"JobId={job.id}", "TimeLimit=60")
    done = job.wait("COMPLETED", "FAILED", "TIMEOUT")
    assert (done["ExitCode"], done["Restarts"]) == ("0:0", "1"), cluster.said(job.id)
    assert "Stopped by SIGUSR1" in cluster.said(job.id) and job.leaves_nothing()
    judge(job.storage, "time limit, queued again", "the script: SIGUSR1, two minutes ahead")


def test_a_job_that_is_requeued_goes_on(cluster: Slurm, judge):
    job = Job(cluster, "requeued")
    job.submit()
    job.wait_for(CHECKPOINT)
    cluster.say("scontrol", "requeue", job.id)
    done = job.wait("COMPLETED", "FAILED")
    assert (done["ExitCode"], done["Restarts"]) == ("0:0", "1"), cluster.said(job.id)
    judge(job.storage, "requeued by an administrator", "all processes of the job: SIGTERM")


def test_a_preempted_job_uses_its_grace_and_goes_on_later(cluster: Slurm, judge):
    job = Job(cluster, "preempted")
    job.submit()
    job.wait_for(CHECKPOINT)
    urgent = cluster.submit("--partition=high", "-N3", "-c2", "-t", "1", "--wrap", "sleep 3")
    cluster.wait(urgent, "COMPLETED")
    done = job.wait("COMPLETED", "FAILED")
    assert (done["ExitCode"], done["Restarts"]) == ("0:0", "1"), cluster.said(job.id)
    assert "Stopped by SIGUSR1" in cluster.said(job.id)
    judge(job.storage, "preemption with a grace time", "the job's steps: SIGTERM")


def test_a_mistake_is_told_once_and_never_queued_again(cluster: Slurm):
    script = [SCRIPT, "cut.yaml", "--storage", str(cluster.folder / "mistake"), "--arms", "none"]
    job = cluster.submit("-N1", "-c1", "-t", "5", f"--output={cluster.folder}/mistake.out", *script)
    done = cluster.wait(job, "FAILED", "COMPLETED")
    assert (done["ExitCode"], done["Restarts"]) == ("2:0", "0")
    assert len(re.findall("^error: ", cluster.said(job), re.MULTILINE)) == 1


def test_two_studies_share_their_machines_and_clear_up_what_a_killed_job_has_left(
    cluster: Slurm, judge
):
    left = Path("/tmp/untuned-1-0a1b2c3d-0")  # this SLURM's jobs have other numbers
    (left / "ray").mkdir(parents=True, exist_ok=True)
    jobs = [Job(cluster, f"study-{number}", "-w", "n1,n2") for number in (1, 2)]
    for job in jobs:
        job.submit()
    for job in jobs:
        done = job.wait("COMPLETED", "FAILED")
        assert done["ExitCode"] == "0:0" and done["NodeList"] == "n[1-2]", cluster.said(job.id)
        judge(job.storage, "two studies at once on two nodes", "nothing")
    assert not left.exists()


def test_two_users_share_their_machines(cluster: Slurm, judge):
    with another_user() as name:
        theirs = environment_of(name, cluster)
        jobs = [
            Job(cluster, "mine", "-w", "n1,n2"),
            Job(cluster, "theirs", "-w", "n1,n2", user=name),
        ]
        jobs[1].storage = cluster.folder / name / "theirs"
        jobs[1].storage.parent.mkdir()
        shutil.chown(jobs[1].storage.parent, name)
        jobs[0].submit()
        with cluster.changed(theirs):
            jobs[1].submit()
        done = [job.wait("COMPLETED", "FAILED") for job in jobs]
        said = [cluster.said(job.id) for job in jobs]
        assert [d["ExitCode"] for d in done] == ["0:0", "0:0"], said
        assert {d["NodeList"] for d in done} == {"n[1-2]"}
        for job, who in zip(jobs, ("one user", "the other"), strict=True):
            judge(job.storage, f"two users at once, {who}", "nothing")


def test_trials_run_on_all_processors_of_a_job_that_is_bound(cluster: Slurm):
    job = Job(cluster, "bound", "--nodes=1", "-c2")
    job.submit()
    job.wait_for(CHECKPOINT)
    bound = {tuple(process.cpu_affinity()) for process in job.trials()}
    cluster.say("scancel", job.id)
    job.wait("CANCELLED")
    if (os.cpu_count() or 1) < 2:
        pytest.skip("this machine has one processor: nothing to tell apart")
    assert bound and {len(processors) for processors in bound} == {2}


@pytest.mark.skipif(find_spec("aiohttp_cors") is None, reason="needs ray[default], the extra jobs")
def test_a_job_prints_where_its_metrics_are(cluster: Slurm):
    job = Job(cluster, "metrics", "--nodes=1")
    job.submit()
    job.wait_for(CHECKPOINT)
    [place] = re.findall(r"^Prometheus: (\S+)$", cluster.said(job.id), re.MULTILINE)
    deadline = time.monotonic() + PATIENCE
    while b"ray_untuned_trials_planned{" not in urlopen(place, timeout=60).read():
        assert time.monotonic() < deadline, cluster.said(job.id)
        time.sleep(1)
    cluster.say("scancel", job.id)
    job.wait("CANCELLED")
