"""A launch: what it hands out, and what it makes of each end, however the attempt ended."""

from pathlib import Path

import pytest

from pipelines.execution.job_queue import DEATHS, TRIES, JobQueue
from pipelines.execution.jobs import Job
from pipelines.ledger.damage import AGAIN, RETRY
from pipelines.ledger.index import read_index
from pipelines.ledger.ledger import Ledger
from pipelines.study.study_file import Study
from tests.conftest import small_study

PROTOCOL = "a" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(str(tmp_path))
    ledger.create_study({"name": "small"})
    ledger.write_request({"trials": 2})
    return ledger


def queue(ledger: Ledger, study: Study | None = None, **retry) -> JobQueue:
    return JobQueue(study or small_study(), PROTOCOL, ledger, **retry)


def finish(ledger: Ledger, job: Job, status: str = "completed", score: float = 0.5) -> None:
    result = {"status": status, "val": {"last": score, "selected": score}, "attempt": job.attempt}
    ledger.attempt(job.spec["key"], job.attempt).finish(result, [])


def run_all(ledger: Ledger, jobs: JobQueue) -> list[str]:
    """Run everything that is missing; the keys, in order."""
    keys = []
    while (job := jobs.next()) is not None:
        finish(ledger, job)
        jobs.ended(job.spec["key"])
        keys.append(job.spec["key"])
    return keys


def test_every_trial_runs_exactly_once_and_a_second_launch_has_nothing_to_do(ledger: Ledger):
    first = queue(ledger)
    keys = run_all(ledger, first)
    assert first.finished and len(keys) == len(set(keys)) == len(ledger.trials())
    assert queue(ledger).next() is None


def test_a_driver_that_is_killed_leaves_an_index_of_all_but_its_last_trials(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipelines.execution.job_queue.INDEXED", 4)
    keys = run_all(ledger, queue(ledger))  # no end of launch, where the rest is written
    assert list(read_index(ledger.storage).rows) == keys[: len(keys) // 4 * 4]
    queue(ledger).write_index()
    assert list(read_index(ledger.storage).rows) == keys


def test_a_larger_request_runs_only_what_is_missing(ledger: Ledger):
    before = run_all(ledger, queue(ledger, small_study(trials=2)))
    added = run_all(ledger, queue(ledger, small_study(trials=3, arms=("ce", "gce", "l2rw"))))
    assert added and not set(before) & set(added)


def test_what_a_killed_driver_had_handed_out_runs_next_under_its_own_key(ledger: Ledger):
    killed = queue(ledger)
    jobs = [killed.next() for _ in range(3)]
    successor = queue(ledger)
    again = [successor.next() for _ in range(3)]
    assert [j.spec for j in again if j] == [j.spec for j in jobs if j]
    assert [j.attempt for j in again if j] == [2, 2, 2]


def test_a_lost_node_is_never_held_against_a_trial(ledger: Ledger):
    jobs = queue(ledger, small_study(arms=("ce",), repeats=1))
    for attempt in range(1, 3 * DEATHS):
        job = jobs.next()
        assert job and job.attempt == attempt
        assert jobs.ended(job.spec["key"], "node") is None


@pytest.mark.parametrize(("lost", "error_class"), [("worker", "node"), ("memory", "memory")])
def test_a_trial_that_keeps_killing_its_worker_fails_and_the_others_go_on(
    ledger: Ledger, lost, error_class: str
):
    jobs = queue(ledger, small_study(arms=("ce", "l2rw"), repeats=1))
    ends = []
    for _ in range(DEATHS):
        job = jobs.next()
        assert job and job.spec["arm"] == "ce"
        ends.append(jobs.ended(job.spec["key"], lost))
    *lost_ones, given_up = ends
    assert lost_ones == [None] * (DEATHS - 1)
    assert given_up and given_up.state == "failed" and given_up.error
    assert given_up.error["class"] == error_class
    assert len(run_all(ledger, jobs)) == 1 and jobs.finished


def test_deaths_count_only_without_progress(ledger: Ledger):
    jobs = queue(ledger, small_study(arms=("ce",), repeats=1))
    for step in range(3 * DEATHS):
        job = jobs.next()
        assert job
        ledger.attempt(job.spec["key"], job.attempt).save_checkpoint(b"state", step + 1)
        assert jobs.ended(job.spec["key"], "worker") is None
    ends = []
    for _ in range(DEATHS - 1):
        job = jobs.next()
        assert job
        ends.append(jobs.ended(job.spec["key"], "worker"))
    assert ends[-1] and ends[-1].state == "failed"


@pytest.mark.parametrize(
    ("error_class", "attempts"),
    [("memory", TRIES), ("data", TRIES), ("time", TRIES), ("code", 1), ("user", 1)],
)
def test_errors_that_may_pass_are_tried_again_and_errors_of_code_are_not(
    ledger: Ledger, error_class: str, attempts: int
):
    jobs = queue(ledger, small_study(arms=("ce",), repeats=1))
    made = 0
    while (job := jobs.next()) is not None:
        made += 1
        ledger.attempt(job.spec["key"], job.attempt).fail(RuntimeError("broken"), error_class)
        jobs.ended(job.spec["key"])
    assert made == attempts and jobs.finished


def run_out_of_memory(ledger: Ledger, jobs: JobQueue, gpus: float) -> list[float]:
    """Fail every attempt so; the GPUs that each had."""
    shares = []
    while (job := jobs.next(gpus)) is not None:
        shares.append(job.gpus)
        ledger.attempt(job.spec["key"], job.attempt).fail(MemoryError(), "memory")
        jobs.ended(job.spec["key"])
    return shares


@pytest.mark.parametrize(
    ("first", "gpus"),
    [
        (0.25, [0.25, 0.5, *[1.0] * TRIES]),
        (0.3333, [0.3333, 0.6666, *[1.0] * TRIES]),
        (0.0, [0.0] * TRIES),
        (2.0, [2.0] * TRIES),
    ],
)
def test_out_of_memory_doubles_the_share_of_a_gpu_and_counts_only_once_it_is_whole(
    ledger: Ledger, first: float, gpus: list[float]
):
    jobs = queue(ledger, small_study(arms=("ce",), repeats=1))
    assert run_out_of_memory(ledger, jobs, first) == gpus and jobs.finished
    [trial] = ledger.trials().values()
    assert trial.state == "failed" and trial.attempts == len(gpus)
    errors = ledger.storage.files(f"trials/{trial.key}/attempts")
    assert sum(file.path.endswith("/error.json") for file in errors) == len(gpus)


def test_a_larger_share_is_of_the_trial_that_needs_it_and_of_no_other_failure(ledger: Ledger):
    jobs = queue(ledger, small_study(arms=("ce", "l2rw"), repeats=1))
    hungry, other = jobs.next(0.25), jobs.next(0.25)
    assert hungry and other
    ledger.attempt(hungry.spec["key"], 1).fail(MemoryError(), "memory")
    ledger.attempt(other.spec["key"], 1).fail(OSError(), "data")
    assert jobs.ended(hungry.spec["key"]) is jobs.ended(other.spec["key"]) is None
    again = [jobs.next(0.25), jobs.next(0.25)]
    assert {job.spec["arm"]: job.gpus for job in again if job} == {"ce": 0.5, "l2rw": 0.25}


def test_a_trial_that_was_asked_to_stop_is_neither_lost_nor_finished(ledger: Ledger):
    jobs = queue(ledger, small_study(arms=("ce",), repeats=1))
    job = jobs.next()
    assert job and jobs.ended(job.spec["key"]) is None
    assert not jobs.finished and jobs.next() is None


def test_failed_trials_run_again_only_if_asked_for(ledger: Ledger):
    study = small_study(arms=("ce", "l2rw"), repeats=1)
    first = queue(ledger, study)
    job = first.next()
    assert job
    ledger.attempt(job.spec["key"], 1).fail(RuntimeError("a bug"), "code")
    first.ended(job.spec["key"])
    run_all(ledger, first)
    assert queue(ledger, study).finished
    retried = queue(ledger, study, retry=("failed",))
    assert job.spec["key"] not in retried.trials
    assert run_all(ledger, retried) == [job.spec["key"]]


def test_a_diverged_result_is_set_aside_not_lost(ledger: Ledger):
    study = small_study(arms=("ce",), repeats=1)
    first = queue(ledger, study)
    job = first.next()
    assert job
    key = job.spec["key"]
    finish(ledger, job, "diverged", 0.0)
    first.ended(key)
    assert queue(ledger, study, retry=("failed",)).finished
    retried = queue(ledger, study, retry=("diverged",))
    again = retried.next()
    assert again and again == Job(job.spec, 2, 0.0)
    killed_here = ledger.trial(key)
    assert killed_here and killed_here.state == "started"
    finish(ledger, again, score=0.9)
    ended = retried.ended(key)
    assert ended and ended.state == "completed"
    aside = ledger.storage.read(f"trials/{key}/attempts/1/set-aside.json")
    assert aside and b"diverged" in aside


def one_trial(ledger: Ledger, study: Study) -> str:
    """Run all of a study; the key of its only trial."""
    [key] = run_all(ledger, queue(ledger, study))
    return key


def test_a_damaged_spec_is_written_anew_and_its_result_stays(ledger: Ledger):
    study = small_study(arms=("gce",), trials=1, repeats=1)
    keys = run_all(ledger, queue(ledger, study))
    before = ledger.trials()
    for key in keys:
        ledger.storage.replace(f"trials/{key}/spec.json", b"{}")
    assert ledger.trials() == {}
    jobs = queue(ledger, study)
    assert jobs.next() is None and jobs.finished
    after = ledger.trials()
    assert jobs.trials == after and after.keys() == before.keys()
    assert all(after[k].spec == before[k].spec and after[k].attempts == 1 for k in keys)


def test_a_trial_whose_result_is_damaged_runs_again_and_is_named(ledger: Ledger):
    study = small_study(arms=("ce",), repeats=1)
    key = one_trial(ledger, study)
    ledger.storage.replace(f"trials/{key}/result.json", b'{"status": "completed"')
    jobs = queue(ledger, study)
    assert jobs.damaged == {key: {"result.json": AGAIN}}
    assert run_all(ledger, jobs) == [key]
    assert ledger.contents().damaged == {}


def test_a_trial_with_a_damaged_history_runs_again_only_if_asked_for(ledger: Ledger):
    study = small_study(arms=("ce",), repeats=1)
    key = one_trial(ledger, study)
    ledger.storage.delete(f"trials/{key}/attempts/1/history.json")
    jobs = queue(ledger, study)
    assert jobs.finished and jobs.damaged == {key: {"attempts/1/history.json": RETRY}}
    assert run_all(ledger, queue(ledger, study, retry=("damaged",))) == [key]
    restored = ledger.trial(key)
    assert restored and restored.result and restored.result["attempt"] == 2
    assert ledger.contents().damaged == {}
    assert ledger.storage.read(f"trials/{key}/attempts/1/set-aside.json")


def test_what_is_to_be_restored_is_looked_for_in_every_file(ledger: Ledger):
    study = small_study(arms=("ce",), repeats=1)
    job = queue(ledger, study).next()
    assert job is not None
    key = job.spec["key"]
    attempt = ledger.attempt(key, job.attempt)
    attempt.write("model.pt", b"weights")
    attempt.finish({"status": "completed", "val": {"last": 0.5, "selected": 0.5}}, [])
    ledger.storage.replace(f"trials/{key}/attempts/1/model.pt", b"weightz")  # never indexed
    assert queue(ledger, study).damaged == {}
    assert run_all(ledger, queue(ledger, study, retry=("damaged",))) == [key]
    assert ledger.contents("all").damaged == {}


def test_the_index_vouches_for_no_damaged_file(ledger: Ledger):
    study = small_study(arms=("ce",), repeats=1)
    key = one_trial(ledger, study)
    ledger.storage.replace(f"trials/{key}/attempts/1/history.json", b"{}")
    for _ in range(2):
        jobs = queue(ledger, study)
        assert jobs.finished and list(jobs.damaged) == [key]
        jobs.write_index()


def test_counts_are_of_each_arm_and_attempts_of_this_launch_alone(ledger: Ledger):
    """Passes are of all trials that ended, under earlier launches, too."""
    study = small_study(arms=("ce",), repeats=3)
    earlier = queue(ledger, study)
    job = earlier.next()
    assert job is not None
    result = {"status": "completed", "passes": 70, "val": {"last": 0.5, "selected": 0.5}}
    ledger.attempt(job.spec["key"], job.attempt).finish(result, [])
    earlier.ended(job.spec["key"])
    jobs = queue(ledger, study)
    planned = jobs.counts()["ce"].planned
    assert planned >= 3 and jobs.counts() == {"ce": (planned, 1, 0, 0, 70)}
    job = jobs.next()
    assert job is not None
    jobs.ended(job.spec["key"], "node")
    assert jobs.counts() == {"ce": (planned, 1, 0, 1, 70)}
    job = jobs.next()
    assert job is not None
    ledger.attempt(job.spec["key"], job.attempt).fail(RuntimeError("broken"), "code")
    jobs.ended(job.spec["key"])
    assert jobs.counts() == {"ce": (planned, 2, 1, 2, 70)}
