"""Trials that share a GPU, on a real Ray that believes to have one.

They run on the CPU; what is tested is who runs beside whom.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import ray
from torch import Tensor

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Batch, Outputs
from pipelines.errors import UserError
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.packing import GIB, Cost, Gpus, Probed
from pipelines.execution.probe import probe_specs
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import Resources, WorkerConfig
from pipelines.ledger.ledger import Ledger
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS

PLACE = "UNTUNED_TEST_PLACE"  # a folder where trials leave word of themselves
MEETING = 4  # trials that wait for each other
MEETING_SECONDS = 60.0


def gpus_here() -> float:
    """What Ray has given to this very process."""
    return ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)


class Meeting(CrossEntropy):
    """Trains only once so many trials have come that run at the same time."""

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        place = Path(os.environ[PLACE])
        (place / f"{os.getpid()}-{gpus_here()}").touch()
        deadline = time.monotonic() + MEETING_SECONDS
        while len({name.partition("-")[0] for name in os.listdir(place)}) < MEETING:
            if time.monotonic() > deadline:
                raise TimeoutError("the others did not come")
            time.sleep(0.02)
        return super().forward(outputs, batch)


class Hungry(CrossEntropy):
    """Needs a whole GPU."""

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        (Path(os.environ[PLACE]) / f"{os.getpid()}-{gpus_here()}").touch()
        if gpus_here() < 1:
            raise MemoryError("2 GiB")
        return super().forward(outputs, batch)


def study(**methods: type) -> Study:
    """Two trials of each of these methods."""
    arms = {
        name: {
            "about": name,
            "kind": "plain",
            "phases": [{"method": f"{__name__}:{method.__name__}"}],
        }
        for name, method in methods.items()
    }
    request = {"arms": list(arms), "repeats": 2, "seeds": 1}
    raw = {"name": "shared", "protocol": DIGITS, "request": request, "arms": arms}
    return parse_study(raw, "shared")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with a Ray of one GPU and eight cores to come."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.setenv(PLACE, str(folder))
    monkeypatch.setattr(
        "pipelines.cluster.connection.ray.init", partial(ray.init, num_gpus=1, num_cpus=8)
    )
    return folder


def run(
    storage: Path,
    asked: Study,
    gpus: Gpus,
    stop: ShouldStop = lambda: False,
    say: Callable[[str], None] = print,
) -> Ledger:
    """As a launch on a GPU would, with workers that compute on the CPU."""
    from pipelines.cluster.sweep import connected_with_tune, proposed_gpus, run_on_ray

    ledger = Ledger.open(str(storage))
    worker_config = WorkerConfig(
        storage=str(storage),
        study=asked.name,
        protocols=asked.protocols,
        device="cpu",
        tracking="disabled",
        tracking_dir=str(storage),
        commit=None,
    )
    queue = JobQueue(asked, "a" * 64, ledger)
    with connected_with_tune(None):
        specs = probe_specs(asked)
        share = (
            proposed_gpus(specs, worker_config, Resources(1.0, 1.0), stop, say)
            if gpus == "auto"
            else gpus
        )
        if share is not None:
            run_on_ray(queue, worker_config, Resources(gpus=share), stop=stop)
    return ledger


def shares_by_process(place: Path) -> dict[str, set[str]]:
    shares: dict[str, set[str]] = {}
    for name in os.listdir(place):
        process, _, share = name.partition("-")
        shares.setdefault(process, set()).add(share)
    return shares


@pytest.mark.slow
def test_four_trials_with_a_quarter_each_run_at_once_and_no_fifth(place: Path, tmp_path: Path):
    """Four that wait for each other come to an end; more than four processes never were."""
    ledger = run(tmp_path / "study", study(one=Meeting, two=Meeting, three=Meeting), 0.25)
    trials = ledger.trials().values()
    assert [trial.state for trial in trials] == ["completed"] * 6
    assert [trial.result["cost"]["gpus"] for trial in trials if trial.result] == [0.25] * 6
    assert list(shares_by_process(place).values()) == [{"0.25"}] * MEETING


@pytest.mark.slow
def test_out_of_memory_is_tried_again_with_twice_the_share_in_a_worker_of_that_size(
    place: Path, tmp_path: Path
):
    ledger = run(tmp_path / "study", study(hungry=Hungry, plain=CrossEntropy), 0.25)
    for trial in ledger.trials().values():
        assert trial.result
        hungry = trial.spec["arm"] == "hungry"
        assert trial.result["cost"]["gpus"] == (1.0 if hungry else 0.25)
        assert trial.result["attempt"] == (3 if hungry else 1)
        for number in range(1, trial.attempts):
            error = ledger.storage.read(f"trials/{trial.key}/attempts/{number}/error.json")
            assert error and json.loads(error)["class"] == "memory"
    processes = shares_by_process(place)
    assert all(len(shares) == 1 for shares in processes.values())
    assert {"0.25", "0.5", "1.0"} == set.union(*processes.values())


def proposes_a_quarter(specs, device) -> Probed:
    assert gpus_here() == 1.0 and set(specs) == {"one", "two"}
    costs = [Cost("one", 4 * GIB, 0.01, None), Cost("two", GIB, 0.01, None)]
    return Probed(costs, 24 * GIB, ["GPU: arm 'three' could not be measured (E: x)"])


def fails(specs, device) -> None:
    raise RuntimeError("no such driver")


def never_ends(specs, device) -> None:
    time.sleep(600)


@pytest.mark.slow
def test_a_probe_says_what_it_could_not_measure_and_proposes_a_share(
    place: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("pipelines.cluster.sweep.probe_node", proposes_a_quarter)
    said: list[str] = []
    asked = study(one=Meeting, two=Meeting)
    ledger = run(tmp_path / "study", asked, "auto", say=said.append)
    unmeasured, line = said
    assert "arm 'three' could not be measured" in unmeasured
    assert "Trials per GPU: 4 (memory would do for 4, CPU cores for 8)" in line
    assert line.endswith("--gpus-per-trial 0.25")
    assert [t.result and t.result["cost"]["gpus"] for t in ledger.trials().values()] == [0.25] * 4


@pytest.mark.slow
def test_a_probe_that_fails_is_one_line_and_one_that_takes_long_can_be_stopped(
    place: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("pipelines.cluster.sweep.probe_node", fails)
    message = r"\A--gpus-per-trial auto: the probe failed \(RuntimeError: no such driver\)[^\n]*\Z"
    with pytest.raises(UserError, match=message):
        run(tmp_path / "study", study(one=CrossEntropy), "auto")
    monkeypatch.setattr("pipelines.cluster.sweep.probe_node", never_ends)
    start = time.monotonic()
    ledger = run(tmp_path / "study", study(one=CrossEntropy), "auto", stop=lambda: True)
    assert time.monotonic() - start < 60 and not ledger.trials()
