"""Studies on JPEG CIFAR-10, their trials in processes that share the device; without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.gpu.place import Place
from benchmarks.gpu.sharing import multi_process_service
from benchmarks.record_file import Record
from pipelines.commands.launch import Launch
from pipelines.commands.options import Options
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.jobs import Lost
from pipelines.execution.signals import ShouldStop, StopSignals
from pipelines.execution.worker import run_attempt
from pipelines.ledger.ledger import Ledger
from pipelines.study.study_file import Study, parse_study
from search_spaces.arms.losses import GCE

PROCESSES = 24  # all trials at once: their kernels fill the device together
EPOCHS = 25
NOISE: dict[str, dict[str, Any]] = {
    "flip": {"noise": {"kind": "flip", "rate": 0.4}},
    "uniform": {"noise": {"kind": "uniform", "rate": 0.4}},
    "worst": {},  # the labels of CIFAR-10N, see `_data`
}
OWN_ARMS = {
    "gce_07": {
        "about": "generalized cross-entropy at the published q",
        "kind": "plain",
        "phases": [{"method": GCE, "hyperparameters": {"q": 0.7}}],
    },
}
# The longest first.
ARMS = ["mw_net_far", "mw_net", "l2rw", "l2rw_safe", "glc", "finetune", "gce_07", "ce"]


def study(kind: str, place: Place) -> Study:
    """Six arms as published and two mended ones, ResNet-32, 3 data seeds."""
    protocol: dict[str, Any] = {
        "data": _data(kind, place.images),
        "splits": {"meta": 1000, "val": 1000},
        "augment": "crop_flip",
        "model": {"name": "resnet32"},
        "schedule": {"epochs": EPOCHS, "batch_size": 256, "lr": 0.1, "weight_decay": 5e-4},
        "precision": "bfloat16",
    }
    protocol["schedule"]["decay"] = "cosine"
    if place.tiny:
        protocol["data"] = {"source": "digits"}
        protocol["splits"] = {"meta": 50, "val": 50, "test": 1400}
        protocol["model"] = {"name": "cnn", "options": {"width": 2}}
        protocol["schedule"] |= {"epochs": 2}
    request = {"arms": ARMS, "trials": 0, "repeats": 3, "seeds": 1, "curve": False}
    content = {
        "name": f"cifar10_jpeg_{kind}",
        "about": f"JPEG CIFAR-10, 40 % {kind} noise, ResNet-32, {EPOCHS} epochs",
        "arms": OWN_ARMS,
        "protocol": protocol | NOISE[kind],
        "request": request,
    }
    return parse_study(content, "benchmarks.gpu")


def _data(kind: str, images: Path | None) -> dict[str, Any]:
    data: dict[str, Any] = {"source": "image_folder", "path": str(images)}
    if kind == "worst" and images is not None:
        file = images.parent / "cifar10n-labels.csv"
        data["labels"] = {"file": str(file), "path": "path", "label": "worst"}
    return data


class SharedLaunch(Launch):
    """A launch whose trials run in processes of this machine, all on its one device."""

    def _run_queue(self, queue: JobQueue, console: Console, stop: ShouldStop) -> None:
        processes = self.options.concurrent or 1
        share = 1 / processes if self.worker_config.device == "cuda" else 0.0
        ending = Path(self.worker_config.storage) / "ending"  # workers look whether it is there
        ending.unlink(missing_ok=True)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            running: dict[Future[Lost | None], str] = {}
            while True:
                if stop():
                    ending.touch()
                while not stop() and len(running) < processes:
                    if (job := queue.next(share)) is None:
                        break
                    given = (self.worker_config, job.spec, job.attempt, ending.exists, job.gpus)
                    running[pool.submit(run_attempt, *given)] = job.spec["key"]
                if not running:
                    return
                for ended in wait(running, 1.0, FIRST_COMPLETED).done:
                    queue.ended(running.pop(ended), ended.result())


def cifar10(kind: str, place: Place) -> Iterator[Record]:
    """Run what is missing of that study; what its trials came to."""
    storage = str(place.out / "studies" / kind)
    options = Options(
        storage=storage,
        executor="inline",
        wandb="disabled",
        device=place.device.type,  # pyright: ignore[reportArgumentType]
        concurrent=2 if place.tiny else PROCESSES,
        checkpoint_seconds=20,
        allow_mixed=True,
    )
    console = Console(width=110)
    mps = place.device.type == "cuda" and shutil.which("nvidia-cuda-mps-control") is not None
    with multi_process_service(mps), StopSignals() as signals:
        SharedLaunch.of(study(kind, place), options).run(console, signals)
    for trial in Ledger.open(storage).trials().values():
        row = {"kind": kind, "arm": trial.spec["arm"], "repeat": trial.spec["repeat"]}
        row |= {"role": trial.spec["role"], "state": trial.state}
        if trial.result is not None:
            scores, cost = trial.result["held_out"], trial.result["cost"]
            row |= {
                "accuracy": scores["score"]["last"],
                "collapse": trial.result.get("collapse"),
            }
            row |= {name: cost.get(name) for name in ("seconds", "steps_replayed", "not_replayed")}
        yield row
