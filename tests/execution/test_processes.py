"""A trial of two processes: what one comes to within rounding, and exactly the same on resume."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from pipelines.documents import differences
from pipelines.execution.packing import processes_on
from pipelines.execution.worker import run_attempt
from pipelines.ledger.ledger import Ledger
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.progress import State
from pipelines.training.trial import run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.execution.test_worker import SPECS, after, setting
from tests.support.two_processes import in_two

#: One and more of each family, and of each way to a hypergradient.
ARMS = ["ce", "gce", "l2rw", "mw_net", "gce_learned", "coteaching", "finetune", "glc", "maxup"]
ARMS += ["pgd_training", "self_training", "cmw_net_pseudo"]
ENGINES: list[dict[str, Any]] = [
    {"engine": "double_backward"},
    {"engine": "one_sided_difference"},
    {"engine": "neumann", "terms": 3},
    {"engine": "forward", "horizon": 2},
    {"engine": "forward", "step": "own"},
    {"lookahead": "alternating"},
]
CONVOLUTIONS = {
    "model": {"name": "cnn", "options": {"width": 4}},
    "augment": "crop_flip",
    "schedule": {"epochs": 1, "lr": 0.02, "batch_size": 50},
}


def specs() -> list[TrainingSpec]:
    plain = [training_spec(arm, small_study(arms=(arm,))) for arm in ARMS]
    learned = training_spec("mw_net")
    engines = [in_phase(learned, meta=meta) for meta in ENGINES]
    images = [under(training_spec(arm), CONVOLUTIONS) for arm in ("l2rw", "mw_net")]
    return [*plain, *engines, *images]


def ends(which: list[TrainingSpec]) -> list[State]:
    """The state of each trial at its end."""
    return [list(run_trial(spec))[-1].snapshot() for spec in which]


def tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state or []
    return [
        t for part in parts if isinstance(part, torch.Tensor | dict | list) for t in tensors(part)
    ]


def far_apart(one: State, other: State) -> list[str]:
    """What differs by more than rounding, as it grows over a few epochs."""
    wrong = [name for name in ("passes", "steps") if one[name] != other[name]]
    for name in ("model", "objective", "optimizer", "meta_optimizer"):
        pairs = zip(tensors(one[name]), tensors(other[name]), strict=True)
        for mine, theirs in ((a.double(), b.double()) for a, b in pairs if a.numel()):
            far, size = (mine - theirs).abs().max(), theirs.abs().max()
            if not far <= 2e-4 + 2e-3 * size:
                wrong.append(f"{name} {tuple(mine.shape)}: {far:.1e} of {size:.1e}")
    return wrong


@pytest.mark.slow
def test_two_processes_come_to_what_one_does_within_rounding():
    together, alone = in_two(ends, specs()), ends(specs())
    wrong = {
        f"{spec.phases[-1].method} {spec.phases[-1].meta}": found
        for spec, mine, theirs in zip(specs(), together, alone, strict=True)
        if (found := far_apart(mine, theirs))
    }
    assert wrong == {}


@pytest.mark.parametrize(("gpus", "count"), [(0.0, 1), (0.25, 1), (1.0, 1), (2.0, 2), (8.0, 8)])
def test_each_gpu_of_a_trial_has_a_process(gpus: float, count: int):
    assert processes_on(gpus) == count


def attempt(
    storage: Path, arm: str, gpus: float = 2.0, stop: Callable[[], bool] = lambda: False
) -> Any:
    """What an attempt was lost with, and the trial afterwards."""
    ledger, key = Ledger.open(str(storage)), f"{arm}-0"
    ledger.add_trial(SPECS[arm])
    config = setting(storage, checkpoint_seconds=0.0)
    lost = run_attempt(config, SPECS[arm], ledger.new_attempt(key), stop, gpus)
    return lost, ledger.trial(key)


def helpers() -> list[psutil.Process]:
    found = psutil.process_iter(["ppid", "cmdline"])  # passes over those that end meanwhile
    ours = [process for process in found if process.info["ppid"] == os.getpid()]
    return [process for process in ours if "help_with" in " ".join(process.info["cmdline"] or [])]


@pytest.mark.slow
def test_a_trial_of_two_processes_goes_on_exactly_and_with_another_number_within_rounding(
    tmp_path: Path,
):
    _, whole = attempt(tmp_path / "whole", "mw_net")
    assert attempt(tmp_path / "parts", "mw_net", stop=after(5))[1].state == "started"
    assert not helpers() and not torch.distributed.is_initialized()
    lost, resumed = attempt(tmp_path / "parts", "mw_net")
    assert lost is None and differences(whole.result, resumed.result) == []
    assert resumed.result["cost"]["gpus"] == 2.0
    assert attempt(tmp_path / "other", "mw_net", stop=after(5))[1].state == "started"
    _, alone = attempt(tmp_path / "other", "mw_net", gpus=0.0)
    assert alone.result["passes"] == whole.result["passes"]
    assert alone.result["val"]["last"] == pytest.approx(whole.result["val"]["last"], abs=0.021)


@pytest.mark.slow
def test_a_process_that_dies_loses_the_attempt_and_the_next_one_goes_on_exactly(tmp_path: Path):
    steps = iter(range(100))

    def kill_the_other_one() -> bool:
        if next(steps) == 3:
            [other] = helpers()
            os.kill(other.pid, signal.SIGKILL)
        return False

    _, whole = attempt(tmp_path / "whole", "ce")
    lost, trial = attempt(tmp_path / "parts", "ce", stop=kill_the_other_one)
    assert (lost, trial.state) == ("worker", "started") and trial.steps >= 4
    assert not helpers() and not torch.distributed.is_initialized()
    lost, resumed = attempt(tmp_path / "parts", "ce")
    assert lost is None and differences(whole.result, resumed.result) == []
