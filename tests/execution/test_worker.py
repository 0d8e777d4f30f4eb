"""One attempt at a trial: it goes on where its predecessor stood, and says why it failed."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from obstore.exceptions import BaseError

import pipelines.execution.worker as module
from pipelines.documents import differences
from pipelines.errors import UserError
from pipelines.execution.inline import run_inline
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.packing import CONTEXT_BYTES
from pipelines.execution.worker import classify, run_attempt
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.attempt import LedgerConflict
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.planning.resume import plan
from pipelines.provenance import origin, provenance
from pipelines.report.study_state import StudyState
from pipelines.training.fast_paths import FastPaths
from pipelines.trial_documents import Rung
from tests.conftest import small_study

CE = "methods.losses.cross_entropy:CrossEntropy"
STUDY = small_study(arms=("ce", "mw_net", "finetune"), repeats=1)


def setting(storage: Path, **changes) -> WorkerConfig:
    values = {
        "storage": str(storage),
        "study": "small",
        "protocols": STUDY.protocols,
        "device": "cpu",
        "tracking": "disabled",
        "tracking_dir": str(storage),
        "commit": "abc",
    }
    return WorkerConfig(**values | changes)


SPECS = {s["arm"]: s | {"key": f"{s['arm']}-0"} for s in iter(plan(STUDY, "a" * 64, {}).ask, None)}


def run(
    storage: Path,
    arm: str,
    stop: Callable[[], bool] = lambda: False,
    rung: Rung | None = None,
    **changes,
) -> TrialRecord:
    ledger = Ledger.open(str(storage))
    ledger.add_trial(SPECS[arm])
    key = f"{arm}-0"
    number = ledger.new_attempt(key)
    run_attempt(setting(storage, **changes), SPECS[arm], number, stop, rung=rung)
    trial = ledger.trial(key)
    assert trial is not None
    return trial


def after(steps: int) -> Callable[[], bool]:
    count = iter(range(steps))
    return lambda: next(count, None) is None


def position(storage: Path, arm: str, number: int) -> list[int]:
    """Phase, epoch, step at which the newest checkpoint was made."""
    newest = Ledger.open(str(storage)).attempt(f"{arm}-0", number).load_newest_checkpoint()
    assert newest
    return torch.load(io.BytesIO(newest[1]), weights_only=True)["state"]["position"]


@pytest.mark.parametrize(
    ("arm", "steps", "where"),
    [("ce", 4, [0, 1, 2]), ("mw_net", 5, [0, 2, 0]), ("finetune", 10, [1, 2, 0])],
)
def test_an_interrupted_trial_ends_with_the_very_same_numbers(
    tmp_path: Path, arm: str, steps: int, where: list[int]
):
    """A plain, a meta-learned and a two-phase arm; stopped inside an epoch or between two."""
    whole = run(tmp_path / "whole", arm)
    assert run(tmp_path / "parts", arm, after(steps)).state == "started"
    assert position(tmp_path / "parts", arm, 1) == where
    resumed = run(tmp_path / "parts", arm)
    assert whole.result and resumed.result and differences(whole.result, resumed.result) == []
    assert resumed.result["attempt"] == 2
    ledgers = [Ledger.open(str(tmp_path / name)) for name in ("whole", "parts")]
    one, other = (x.histories(x.trials().values()) for x in ledgers)
    assert one == other


@pytest.mark.parametrize("arm", ["ce", "mw_net", "finetune"])
def test_a_trial_that_was_stopped_at_each_epoch_ends_with_the_very_same_numbers(
    tmp_path: Path, arm: str
):
    whole = run(tmp_path / "whole", arm)
    for epoch in (1, 2):
        trial = run(tmp_path / "parts", arm, rung=Rung(epoch, "halving"))
        assert trial.state == "stopped" and trial.stopped and trial.stopped["epoch"] == epoch
        assert position(tmp_path / "parts", arm, epoch)[1:] == [epoch, 0]
    promoted = run(tmp_path / "parts", arm)
    assert whole.result and promoted.result
    assert differences(whole.result, promoted.result) == [] and promoted.result["attempt"] == 3
    ledgers = [Ledger.open(str(tmp_path / name)) for name in ("whole", "parts")]
    one, other = (x.histories(x.trials().values()) for x in ledgers)
    assert one == other


def test_a_trial_that_has_gone_beyond_its_rung_stops_without_a_step(tmp_path: Path, monkeypatch):
    assert run(tmp_path, "ce", after(7)).state == "started"  # in the third epoch
    monkeypatch.setattr(module, "run_trial", None)
    trial = run(tmp_path, "ce", rung=Rung(1, "halving"))
    assert trial.state == "stopped" and trial.stopped
    assert len(trial.stopped["rows"]) == 2 and trial.stopped["passes"] > 0


def test_a_checkpoint_is_made_whenever_the_interval_has_passed(tmp_path: Path, monkeypatch):
    saved = []
    monkeypatch.setattr(module, "_save", lambda attempt, state, here: saved.append(state["steps"]))
    run(tmp_path, "ce", checkpoint_seconds=0.0)
    assert saved == list(range(1, saved[-1] + 1)) and len(saved) >= 6
    saved.clear()
    run(tmp_path / "other", "ce", checkpoint_seconds=3600.0)
    assert saved == []


@pytest.mark.parametrize("changed", ["code", "torch", "fast paths"])
def test_a_checkpoint_of_another_origin_is_not_continued(tmp_path: Path, monkeypatch, changed: str):
    run(tmp_path, "ce", after(4))
    states = []
    real = module.run_trial

    def watched(spec, state, device, fast):
        states.append(state)
        return real(spec, state, device, fast)

    monkeypatch.setattr(module, "run_trial", watched)
    if changed == "fast paths":
        run(tmp_path, "ce", fast=FastPaths.without(["fused"]))
    else:
        monkeypatch.setattr(module, "origin", lambda of: origin(of) | {changed: "another"})
        run(tmp_path, "ce")
    assert states == [None]


def test_a_checkpoint_of_another_trial_is_not_continued(tmp_path: Path, monkeypatch):
    """Copied there with its own name, which says that it is whole."""
    whole = run(tmp_path / "whole", "mw_net")
    run(tmp_path, "ce", after(4))
    run(tmp_path, "mw_net", after(2))
    [folder] = tmp_path.glob("trials/mw_net-0/attempts/1")
    for file in tmp_path.glob("trials/ce-0/attempts/1/checkpoint-*"):
        (folder / file.name).write_bytes(file.read_bytes())
    resumed = run(tmp_path, "mw_net")
    assert whole.result and resumed.result and differences(whole.result, resumed.result) == []


def test_a_result_says_what_made_it(tmp_path: Path):
    trial = run(tmp_path, "ce")
    assert trial.result
    made_by = trial.result["provenance"]
    assert made_by["commit"] == "abc" and made_by["versions"]["torch"]
    assert len(made_by["code"]) == 64 and made_by["processor"]


def attempt_on(storage: Path, gpus: float, **changes) -> TrialRecord:
    ledger = Ledger.open(str(storage))
    ledger.add_trial(SPECS["ce"])
    number = ledger.new_attempt("ce-0")
    run_attempt(setting(storage, **changes), SPECS["ce"], number, gpus=gpus)
    trial = ledger.trial("ce-0")
    assert trial is not None
    return trial


def test_a_result_says_what_it_took_of_a_gpu(tmp_path: Path):
    trial = attempt_on(tmp_path, 0.25)
    assert trial.result and trial.result["cost"]["gpus"] == 0.25


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a process set as limit on a made-up GPU, of 20 times the memory that CUDA takes."""
    limits_set: list[float] = []
    total = 20 * CONTEXT_BYTES
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (total // 2, total))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits_set.append)
    return limits_set


@pytest.mark.parametrize(("gpus", "limit"), [(0.5, [0.5 * 0.95 - 1 / 20]), (1.0, [])])
def test_an_attempt_keeps_to_its_share_of_a_gpus_memory(
    tmp_path: Path, monkeypatch, limits: list[float], gpus: float, limit: list[float]
):
    monkeypatch.setattr(module, "run_trial", lambda *_: iter(()))
    attempt_on(tmp_path, gpus, device="cuda")
    assert limits == pytest.approx(limit)


def test_a_share_too_small_for_cuda_fails_the_attempt_as_a_users_mistake(
    tmp_path: Path, limits: list[float]
):
    trial = attempt_on(tmp_path, 0.05, device="cuda")
    assert trial.error and trial.error["class"] == "user" and not limits
    assert "--gpus-per-trial 0.05" in trial.error["message"]


def test_a_broken_method_fails_with_its_traceback_and_the_others_go_on(tmp_path: Path, monkeypatch):
    real = module.run_trial

    def broken(spec, state, device, fast):
        if [phase.method for phase in spec.phases] == [CE]:
            raise ValueError("no such label")
        return real(spec, state, device, fast)

    monkeypatch.setattr(module, "run_trial", broken)
    ledger = Ledger.open(str(tmp_path))
    drive = JobQueue(STUDY, "a" * 64, ledger)
    run_inline(drive, setting(tmp_path))
    states = {t.spec["arm"]: t.state for t in ledger.trials().values()}
    assert states == {"ce": "failed", "mw_net": "completed", "finetune": "completed"}
    [failed] = [t for t in ledger.trials().values() if t.state == "failed"]
    assert failed.error
    said = {name: failed.error[name] for name in ("type", "message", "class")}
    assert said == {"type": "ValueError", "message": "no such label", "class": "code"}
    trace = ledger.storage.read(f"trials/{failed.key}/attempts/1/traceback.txt")
    assert trace and b"in broken" in trace


def test_two_results_that_differ_are_an_error_that_stays_visible(tmp_path: Path, monkeypatch):
    first = run(tmp_path, "ce")
    real = module.run_trial

    def another(spec, state, device, fast):
        for progress in real(spec, state, device, fast):
            result = progress.result and progress.result | {"passes": -1}
            yield progress._replace(result=result)

    monkeypatch.setattr(module, "run_trial", another)
    second = run(tmp_path, "ce")
    assert (first.conflicts, second.conflicts) == (0, 1)
    assert second.state == "completed" and second.result == first.result
    ledger = Ledger.open(str(tmp_path))
    assert ledger.trials()["ce-0"].conflicts == 1
    study_state = StudyState(STUDY, {}, ledger.trials(), plan(STUDY, "a" * 64, {}))
    assert study_state.conflicts() == ["ce-0"] and study_state.errors() == {}


def test_failures_are_counted_by_arm_and_class(tmp_path: Path):
    ledger = Ledger.open(str(tmp_path))
    for number, error_class in enumerate(("memory", "memory", "code")):
        key = f"ce-{number}"
        ledger.add_trial(SPECS["ce"] | {"key": key})
        ledger.attempt(key, ledger.new_attempt(key)).fail(RuntimeError(), error_class)
    study_state = StudyState(STUDY, {}, ledger.trials(), plan(STUDY, "a" * 64, {}))
    assert study_state.errors() == {"ce": {"memory": 2, "code": 1}} and not study_state.conflicts()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "memory"),
        (torch.cuda.OutOfMemoryError("2 GiB"), "memory"),
        (TimeoutError("60 s"), "time"),
        (OSError(errno.EIO, "unreadable"), "data"),
        (BaseError("bucket is away"), "data"),
        (UserError("q = 2"), "user"),
        (LedgerConflict("differs"), "conflict"),
        (ZeroDivisionError(), "code"),
    ],
)
def test_errors_are_classified(error: Exception, expected: str):
    assert classify(error) == expected


def test_nothing_is_unpickled_from_storage(tmp_path: Path):
    """A checkpoint that would run code when unpickled is refused, and the code does not run."""

    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    ledger = Ledger.open(str(tmp_path))
    ledger.add_trial(SPECS["ce"])
    attempt = ledger.attempt("ce-0", ledger.new_attempt("ce-0"))
    buffer = io.BytesIO()
    here = origin(provenance() | {"without": []})
    torch.save({"origin": here, "state": Malicious()}, buffer)
    attempt.save_checkpoint(buffer.getvalue(), 1)
    trial = run(tmp_path, "ce")
    assert trial.state == "failed" and not (tmp_path / "executed").exists()


def test_a_worker_that_does_not_see_the_storage_makes_none_and_says_so(tmp_path: Path):
    failure = run_attempt(setting(tmp_path / "elsewhere"), SPECS["ce"], 1)
    assert failure and "give a directory that exists" in failure.message
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_recorded_is_returned_as_it_is(tmp_path: Path, monkeypatch):
    """The storage goes while the trial runs; nothing is made in its place."""
    storage, elsewhere = tmp_path / "study", tmp_path / "unmounted"
    real = module.run_trial

    def unmounted(*arguments):
        storage.rename(elsewhere)
        yield from real(*arguments)

    monkeypatch.setattr(module, "run_trial", unmounted)
    Ledger.open(str(storage)).add_trial(SPECS["ce"])
    failure = run_attempt(setting(storage, checkpoint_seconds=0.0), SPECS["ce"], 1)
    assert failure and failure.error_class == "data" and str(storage) in failure.message
    assert list(tmp_path.iterdir()) == [elsewhere]


def test_an_attempt_says_where_it_runs_and_so_does_its_result(tmp_path: Path):
    trial, host = run(tmp_path, "ce"), os.uname().nodename
    assert Ledger.open(str(tmp_path)).host_of("ce-0", 1) == host
    assert trial.result and trial.result["provenance"]["host"] == host
