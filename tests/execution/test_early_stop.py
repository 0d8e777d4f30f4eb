"""A launch gives up when all that it runs fails alike, and never for less."""

from pathlib import Path

import pytest

from pipelines.execution.early_stop import FAILING_ALIKE
from pipelines.execution.job_queue import JobQueue
from pipelines.ledger.ledger import Ledger
from tests.conftest import small_study

PROTOCOL = "a" * 64
STUDY = small_study(arms=("ce", "gce"), repeats=4, trials=2)


def queue(folder: Path, study=STUDY, **retry) -> JobQueue:
    return JobQueue(study, PROTOCOL, Ledger.open(str(folder)), **retry)


def run(jobs: JobQueue, outcome=lambda spec: RuntimeError("broken")) -> int:
    """Run until the queue is hopeless or finished; how many trials ran.

    outcome: of a trial, an error or None.
    """
    count = 0
    while not jobs.hopeless and (job := jobs.next()) is not None:
        attempt = jobs.ledger.attempt(job.spec["key"], job.attempt)
        if (error := outcome(job.spec)) is None:
            val = {"last": 0.5, "selected": 0.5}
            attempt.finish({"status": "completed", "val": val, "attempt": job.attempt}, [])
        else:
            attempt.fail(error, "code")
        jobs.ended(job.spec["key"])
        count += 1
    return count


def test_when_the_first_trials_of_every_arm_fail_alike(tmp_path: Path):
    jobs = queue(tmp_path)
    count = run(jobs)
    assert jobs.hopeless and not jobs.finished
    assert count == 2 * FAILING_ALIKE < jobs.planner.planned.total()  # arm by arm in turn


@pytest.mark.parametrize(
    "outcome",
    [
        lambda spec: None if spec["arm"] == "ce" else RuntimeError("broken"),
        lambda spec: None if spec["repeat"] == 2 else RuntimeError("broken"),
        lambda spec: (ValueError if spec["repeat"] % 2 else RuntimeError)("broken"),
    ],
    ids=["one arm works", "one repeat works", "they fail in two ways"],
)
def test_not_for_less(tmp_path: Path, outcome):
    jobs = queue(tmp_path)
    run(jobs, outcome)
    assert jobs.finished and not jobs.hopeless


def test_an_arm_with_fewer_trials_than_that_is_judged_by_what_it_has(tmp_path: Path):
    study = small_study(arms=("ce", "gce"), repeats=2, trials=2)
    jobs = queue(tmp_path, study)
    run(jobs)
    assert jobs.planner.done["ce"] == 2 and jobs.hopeless


def test_what_failed_in_an_earlier_launch_is_no_reason_and_what_came_to_a_result_is_one_not_to(
    tmp_path: Path,
):
    """What it failed for may have been put right since."""
    run(queue(tmp_path / "failed"))
    again = queue(tmp_path / "failed")
    assert not again.hopeless and run(again, lambda spec: None) and again.finished
    first = queue(tmp_path / "one")
    job = first.next()
    assert job
    val = {"last": 0.5, "selected": 0.5}
    result = {"status": "completed", "val": val, "attempt": 1}
    first.ledger.attempt(job.spec["key"], 1).finish(result, [])
    second = queue(tmp_path / "one")
    run(second)
    assert second.finished and not second.hopeless


def test_a_launch_in_which_everything_fails_for_the_last_time_is_finished_not_hopeless(
    tmp_path: Path,
):
    jobs = queue(tmp_path, small_study(arms=("ce",), repeats=FAILING_ALIKE))
    assert run(jobs) == FAILING_ALIKE and jobs.finished and not jobs.hopeless
