"""Sharing a GPU, and a launch on it."""

import pytest
import torch
from rich.console import Console

from pipelines.commands.launch import launch
from pipelines.commands.options import Options
from pipelines.execution.packing import pack
from pipelines.execution.probe import probe, probe_specs
from pipelines.execution.worker import _prepare_gpu, classify
from pipelines.ledger.ledger import Ledger
from tests.conftest import small_study


def test_too_much_for_its_share_of_the_memory_fails_here(cuda):
    _, total = torch.cuda.mem_get_info()
    try:
        _prepare_gpu(0.05)
        with pytest.raises(torch.cuda.OutOfMemoryError) as error:
            torch.empty(int(0.06 * total), dtype=torch.uint8, device=cuda)
        assert classify(error.value) == "memory"
        torch.empty(int(0.02 * total), dtype=torch.uint8, device=cuda)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_probe_measures_memory_time_and_how_busy_the_gpu_is(cuda):
    study = small_study(("ce", "mw_net"))
    costs, total, unmeasured = probe(probe_specs(study), cuda)
    assert unmeasured == [] and len(costs) == 2
    for cost in costs:
        assert 0 < cost.peak < total and cost.seconds > 0 and 0 < cost.busy < 1.2
    assert pack(costs, total, cores=16).trials > 1


def test_a_launch_runs_there_and_its_results_say_so(tmp_path, cuda):
    study = small_study(("ce", "l2rw"), trials=0, repeats=3)
    options = Options(storage=str(tmp_path / "runs"), executor="inline", wandb="disabled")
    launch(study, options, Console())
    trials = Ledger.open(str(tmp_path / "runs")).trials().values()
    assert [trial.state for trial in trials] == ["completed"] * 6
    for trial in trials:
        assert trial.result["cost"]["gpus"] == 1.0 and trial.result["cost"]["steps_replayed"] > 0
        assert trial.result["provenance"]["processor"] == torch.cuda.get_device_name()
