"""A launch, without Ray: what it refuses, how it stops, and that it goes on to the same end."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import pipelines.execution.worker
from pipelines.commands.launch import Options, launch, tracking_folder
from pipelines.documents import differences
from pipelines.errors import Interrupted, UserError
from pipelines.execution.signals import StopSignals
from pipelines.ledger.lease import Holder, Lease
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import open_storage
from pipelines.planning.resume import plan
from pipelines.provenance import provenance
from pipelines.report.study_state import StudyState, open_study
from pipelines.study.study_file import parse_study
from tests.conftest import small_study

STUDY = small_study(arms=("ce", "mw_net"), repeats=1)


def run(storage: Path, study=STUDY, **options) -> Ledger:
    values = {"storage": str(storage), "executor": "inline", "wandb": "disabled", "device": "cpu"}
    launch(study, Options(**values | options), Console(file=io.StringIO()))
    return Ledger.open(str(storage))


def results(ledger: Ledger) -> dict[str, TrialRecord]:
    return ledger.trials()


def assert_same(one: Ledger, other: Ledger) -> None:
    mine, theirs = results(one), results(other)
    assert mine.keys() == theirs.keys()
    for key, trial in mine.items():
        result = theirs[key].result
        assert trial.result and result and differences(trial.result, result) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_with_a_checkpoint_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch, number: signal.Signals
):
    real = pipelines.execution.worker.run_trial

    def interrupted(spec, state, device, fast):
        for step, progress in enumerate(real(spec, state, device, fast)):
            if spec.phases[0].method.endswith("MetaWeightNet") and step == 3:
                os.kill(os.getpid(), number)
            yield progress

    before = signal.getsignal(number)
    monkeypatch.setattr(pipelines.execution.worker, "run_trial", interrupted)
    with pytest.raises(Interrupted, match=number.name) as stopped:
        run(tmp_path / "stopped")
    assert stopped.value.status == 128 + number and signal.getsignal(number) is before
    files = [f.path for f in Ledger.open(str(tmp_path / "stopped")).storage.files("trials")]
    assert [f for f in files if "checkpoint-" in f]
    monkeypatch.undo()
    assert_same(run(tmp_path / "stopped"), run(tmp_path / "whole"))


def test_a_second_signal_acts_as_it_did_before():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    try:
        with StopSignals() as signals:
            assert not signals()
            os.kill(os.getpid(), signal.SIGINT)
            assert signals() and signals.received == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_of_two_signals_at_once_one_is_noted_and_the_other_ends_the_process_in_silence():
    script = """
import os, signal
from pipelines.execution.signals import StopSignals
both = (signal.SIGTERM, signal.SIGUSR1)
with StopSignals():
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode in (-signal.SIGTERM, -signal.SIGUSR1) and done.stderr == b""


def test_signals_that_a_library_took_are_taken_back():
    with StopSignals() as signals:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert not signals()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals()


def change_origin(ledger: Ledger, **changes) -> None:
    """Make all results look as if they came from other code, or another torch."""
    for trial in results(ledger).values():
        assert trial.result
        made_by = trial.result["provenance"]
        versions = made_by["versions"] | {"torch": changes.get("torch", "2.15.0")}
        code = changes.get("code", made_by["code"])
        result = trial.result | {"provenance": made_by | {"versions": versions, "code": code}}
        data = json.dumps(result).encode()
        ledger.storage.replace(f"trials/{trial.key}/result.json", data)


@pytest.mark.parametrize("changed", [{"code": "0" * 64}, {"torch": "1.0"}])
def test_results_of_other_code_or_another_torch_are_not_mixed_unless_asked(
    tmp_path: Path, changed: dict[str, str]
):
    ledger = run(tmp_path)
    change_origin(ledger, **changed)
    run(tmp_path)  # nothing is missing, so nothing is mixed
    [(name, value)] = changed.items()
    larger = small_study(arms=("ce", "mw_net"), repeats=1, seeds=2)
    with pytest.raises(UserError, match=rf"\A2 finished trials [^\n]*{name} {value[:12]} there"):
        run(tmp_path, larger)
    mixed = run(tmp_path, larger, allow_mixed=True)
    assert len(results(mixed)) == 4


def test_nor_are_results_of_other_fast_paths(tmp_path: Path):
    """They round otherwise."""
    run(tmp_path)
    larger = small_study(arms=("ce", "mw_net"), repeats=1, seeds=2)
    with pytest.raises(
        UserError, match=r"\A2 finished [^\n]*: without nothing there, fused here\."
    ):
        run(tmp_path, larger, without="fused")
    mixed = run(tmp_path, larger, without="fused", allow_mixed=True)
    _, document, study = open_study(str(tmp_path))
    state = StudyState(study, document, results(mixed), plan(study, document["hash"], {}))
    assert state.mixture() == [
        "mixed results, which may not compare: without nothing (2 trials), fused (2 trials)"
    ]


OWN_METHOD = """
from methods.losses.cross_entropy import CrossEntropy

class Mine(CrossEntropy):
    def forward(self, outputs, batch):
        return {factor} * super().forward(outputs, batch)
"""


def test_nor_are_results_of_a_method_of_the_users_own_that_has_changed(tmp_path, monkeypatch):
    """Comments are no change, and other arms' results have nothing to do with it."""
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_method_of_a_test.py"
    phase = {"method": "own_method_of_a_test:Mine"}
    own = {"mine": {"about": "mine", "kind": "plain", "phases": [phase]}}

    def study(seeds):
        small = small_study(arms=("ce",), repeats=1, seeds=seeds).model_dump(by_alias=True)
        request = small["request"] | {"arms": ["ce", "mine"]}
        return parse_study(small | {"request": request, "arms": own}, "own")

    def changed(text):
        file.write_text(text)
        provenance.cache_clear()  # of a new process

    changed(OWN_METHOD.format(factor=1))
    run(tmp_path / "runs", study(1))
    changed("# mine" + OWN_METHOD.format(factor=1))
    run(tmp_path / "runs", study(2))
    changed(OWN_METHOD.format(factor=2))
    message = r"\A2 finished trials [^\n]*code of own_method_of_a_test \w{12} there, \w{12} here\."
    with pytest.raises(UserError, match=message):
        run(tmp_path / "runs", study(3))


def test_a_full_disk_ends_the_launch_in_one_line(tmp_path: Path, monkeypatch):
    def full(self, key):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "new_attempt", full)
    with pytest.raises(UserError, match=r"\A[^\n]*No space left on device[^\n]*kept[^\n]*\Z"):
        run(tmp_path)


def test_a_driver_whose_lease_was_taken_hands_out_nothing_more(tmp_path: Path, monkeypatch):
    handed_out = []
    real = pipelines.execution.worker.run_trial

    def watched(spec, state, device, fast):
        handed_out.append(spec)
        monkeypatch.setattr(Lease, "lost", property(lambda self: True))
        yield from real(spec, state, device, fast)

    monkeypatch.setattr(pipelines.execution.worker, "run_trial", watched)
    with pytest.raises(UserError, match="another driver has taken the study over"):
        run(tmp_path)
    assert len(handed_out) == 1


def test_a_hanging_driver_is_replaced_only_on_demand_and_once_its_lease_expired(tmp_path: Path):
    storage = open_storage(str(tmp_path), create=True)
    for expires, takeover in ((1.0, False), (2e12, True)):
        Lease(storage, 1, replace(Holder.here(), expires=expires))._write()
        with pytest.raises(UserError, match=f"{socket.gethostname()}.*{os.getpid()}"):
            run(tmp_path, takeover=takeover)
    Lease(storage, 1, replace(Holder.here(), expires=1.0))._write()
    run(tmp_path, takeover=True)


@pytest.mark.parametrize(
    ("asked", "device", "gpus"),
    [
        (None, "cpu", 0.0),
        (None, "cuda", 1.0),
        ("auto", "cpu", 0.0),
        ("auto", "cuda", "auto"),
        ("0.25", "cuda", 0.25),
        ("0.25", "cpu", 0.25),
    ],
)
def test_gpus_of_a_trial_unless_asked_for_are_one_where_there_is_one(asked, device: str, gpus):
    assert Options(gpus_per_trial=asked).gpus_on(device) == gpus


def test_one_trial_after_the_other_takes_all_that_is_there(tmp_path: Path):
    ledger = run(tmp_path, gpus_per_trial="auto")
    costs = [trial.result["cost"] for trial in results(ledger).values() if trial.result]
    assert costs and all(cost["gpus"] == 0.0 for cost in costs)


@pytest.mark.parametrize(
    ("asked", "storage", "folder"),
    [
        (None, "runs/x", "runs/x"),
        (None, "s3://bucket/x", "runs/small"),
        ("", "s3://bucket/x", "runs/small"),
        ("/scratch", "runs/x", "/scratch"),
        ("/scratch", "s3://bucket/x", "/scratch"),
    ],
)
def test_the_files_of_wandb_are_where_it_is_told_or_with_the_study_or_here(
    monkeypatch, asked: str | None, storage: str, folder: str
):
    monkeypatch.delenv("WANDB_DIR", raising=False)
    if asked is not None:
        monkeypatch.setenv("WANDB_DIR", asked)
    assert tracking_folder(STUDY, storage) == Path(folder)


def test_what_a_request_says_of_nodes_reaches_ray_and_is_remembered(tmp_path: Path, monkeypatch):
    """Labels are of a cluster's nodes: a Ray of the launch's own has one, which has none."""
    asked = []
    work_on = "pipelines.commands.checked_launch.run_in_process"
    monkeypatch.setattr(work_on, lambda work, *others: asked.append(work))
    nodes = {"accelerator": "H100", "labels": {"market-type": "spot"}}
    study = STUDY.model_copy(update={"request": STUDY.request.model_copy(update=nodes)})
    run(tmp_path, study, executor="ray", address="auto")
    _, _, remembered = open_study(str(tmp_path))
    run(tmp_path, remembered, executor="ray")
    assert [(work.accelerator, work.labels) for work in asked] == [
        ("H100", {"market-type": "spot"}),
        ("H100", {}),
    ]
