"""The probe, on a CPU that plays a GPU: its memory is what these tests say it is."""

import pytest
import torch

import pipelines.execution.probe as module
from pipelines.errors import UserError
from pipelines.execution.packing import Cost, pack
from pipelines.execution.probe import TIMED_STEPS, probe, probe_specs
from tests.conftest import in_phase, small_study
from tests.support.arms import every_arm

CPU, GIB = torch.device("cpu"), 2**30


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The peaks that it will report, in order; 7 bytes once there is none left."""
    peaks: list[int] = []
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "mem_get_info", lambda device: (8 * GIB, 24 * GIB))
    monkeypatch.setattr(cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(cuda, "max_memory_reserved", lambda device: peaks.pop(0) if peaks else 7)
    monkeypatch.setattr(module, "_device_seconds", lambda run, device: run() or 0.0)
    return peaks


@every_arm()
def test_every_phase_of_every_arm_can_be_measured_alone(arm: str, gpu: list[int]):
    study = small_study((arm,))
    costs, total, _ = probe(probe_specs(study), CPU)
    assert total == 24 * GIB and len(costs) == len(study.arm(arm).resolve({}))
    for cost in costs:
        assert (cost.arm, cost.peak, cost.busy) == (arm, 7, None) and cost.seconds > 0


def test_the_part_of_a_step_in_which_the_gpu_computes(gpu: list[int], monkeypatch):
    monkeypatch.setattr(module, "_seconds", lambda run, device: 0.5)
    monkeypatch.setattr(module, "_device_seconds", lambda run, device: 0.2)
    assert probe(probe_specs(small_study(("ce",))), CPU)[0] == [
        Cost("ce", 7, 0.5 / TIMED_STEPS, 0.4)
    ]


def test_an_arm_without_enough_memory_is_what_the_launch_is_refused_for(gpu, monkeypatch):
    def exhausted(spec, device):
        raise torch.cuda.OutOfMemoryError("2 GiB")

    monkeypatch.setattr(module, "TrainingRun", exhausted)
    costs, total, _ = probe(probe_specs(small_study(("ce", "mw_net"))), CPU)
    with pytest.raises(UserError, match=r"arm 'ce' does not fit on the GPU of 24\.0 GiB"):
        pack(costs, total, cores=4)


def test_an_arm_with_a_mistake_in_its_code_is_named_and_left_to_its_trials(gpu: list[int]):
    specs = probe_specs(small_study(("ce", "l2rw")))
    missing = "methods.losses.cross_entropy:Missing"
    specs["ce"] = [in_phase(spec, method=missing) for spec in specs["ce"]]
    costs, _, [line] = probe(specs, CPU)
    assert [cost.arm for cost in costs] == ["l2rw"]
    assert line.startswith("GPU: arm 'ce' could not be measured (UserError: method")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_real_gpu_reports_memory_and_a_busy_part():
    costs, total, _ = probe(probe_specs(small_study(("ce", "mw_net"))), torch.device("cuda"))
    assert [cost.arm for cost in costs] == ["ce", "mw_net"]
    for cost in costs:
        assert 0 < cost.peak < total and cost.busy and 0 < cost.busy <= 1.05
