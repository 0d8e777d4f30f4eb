"""What the bookkeeping costs: status and resume of a large study, and the share that is work.

    python -m benchmarks.ledger [--finished N] [--latency MS] [--short N] [--json FILE]

A study with N finished trials is written to a local directory, and to an object store on loopback
that answers each request MS later than it could. Then N short trials are run on this machine's
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from pipelines.execution.job_queue import JobQueue
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import open_storage
from pipelines.planning.planner import Planner
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study, parse_study
from pipelines.trial_documents import TrialSpec
from tests.support.object_store import BUCKET, object_store

ROOT = Path(__file__).parent.parent
ARMS = ("ce", "gce", "sce", "focal", "l2rw", "mw_net")
FILES = ("spec", "attempts/1/started", "attempts/1/history", "result")  # .json; of a finished trial


def large_study(trials: int) -> Study:
    """A study of about that many trials: search and curve of the three tuned arms."""
    request = {"arms": ARMS, "trials": trials // 18, "repeats": 3, "seeds": 2}
    protocol = {"splits": {"meta": 100, "val": 100, "test": 500}}
    return parse_study({"name": "large", "protocol": protocol, "request": request}, "large")


def fill(location: str, study: Study) -> int:
    """Write the study as if all of it had run; the number of trials."""
    storage = open_storage(location, create=True)
    ledger = Ledger(storage)
    document = {
        "name": study.name,
        "protocol": study.protocol.model_dump(mode="json"),
        "hash": protocol_hash(study.protocol, "0" * 64),
        "fingerprint": "0" * 64,
    }
    ledger.create_study(document)
    ledger.write_request({"request": study.request.model_dump(mode="json")})
    planner = Planner(study, document["hash"], {}, {})
    specs = list(_finish_all(planner))
    write = _fast_write(location) or storage.replace
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda spec: _write_trial(write, spec), specs))
    return len(specs)


def _finish_all(planner: Planner) -> Iterator[TrialSpec]:
    while (spec := planner.ask()) is not None:
        planner.tell(spec["key"], spec["run_seed"] % 1000 / 1000)
        yield spec


def _fast_write(location: str) -> Callable[[str, bytes], Any] | None:
    """Local files without fsync: how they got there is not measured."""
    if "://" in location:
        return None

    def write(path: str, data: bytes) -> None:
        target = Path(location, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    return write


def _write_trial(write: Callable[[str, bytes], Any], spec: dict[str, Any]) -> None:
    score = spec["run_seed"] % 1000 / 1000
    result = {
        "status": "completed",
        "val": {"last": score, "selected": score},
        "held_out": {"score": {"last": score, "selected": score}},
        "passes": 250_000,
        "cost": {"seconds": 3.0, "peak_memory": 2**28},
        "data": {"noise": {"measured": 0.4}},
        "provenance": {"code": "0" * 64, "commit": None, "processor": "", "versions": {}},
    }
    rows = {"rows": [{"epoch": e, "val/accuracy": score} for e in range(60)]}
    contents = spec, {"started": 0.0}, rows, result
    for name, content in zip(FILES, contents, strict=True):
        write(f"trials/{spec['key']}/{name}.json", json.dumps(content).encode())


def measure(location: str, study: Study) -> dict[str, float]:
    """Seconds: `status` as a command, and from a launch's look at the ledger to its first job."""
    times = {}
    for name in ("without index", "with index"):
        began = time.perf_counter()
        command = [sys.executable, str(ROOT / "run_sweep.py"), "status", location, "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times[f"status {name}"] = time.perf_counter() - began
        began = time.perf_counter()
        ledger = Ledger.open(location)
        document = ledger.study()
        assert document is not None
        more = study.request.model_copy(update={"seeds": study.request.seeds + 1})
        larger = study.model_copy(update={"request": more})
        assert JobQueue(larger, document["hash"], ledger).planner.ask() is not None
        times[f"resume {name}"] = time.perf_counter() - began
        ledger.index(ledger.trials().values())
    return times


@contextmanager
def slow_object_store(latency: float) -> Iterator[dict[str, str]]:
    """An object store in a process of its own, behind a proxy that holds each answer back."""
    with get_context("spawn").Manager() as manager:
        ready = manager.Queue()
        done = manager.Event()
        process = get_context("spawn").Process(target=_serve, args=(latency, ready, done))
        process.start()
        try:
            yield ready.get(timeout=60)
        finally:
            done.set()
            process.join()


def _serve(latency: float, ready: Any, done: Any) -> None:
    from werkzeug.serving import WSGIRequestHandler

    handle = WSGIRequestHandler.run_wsgi

    def late(self: WSGIRequestHandler) -> None:
        time.sleep(latency)
        handle(self)

    WSGIRequestHandler.run_wsgi = late  # type: ignore[method-assign]
    with object_store() as environment:
        ready.put(environment)
        done.wait()


class Sleeper(nn.Module):
    """A linear model that takes a second to train: it sleeps in the first step of its training."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)
        self._slept = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of flattened inputs."""
        if self.training and torch.is_grad_enabled() and not self._slept:
            self._slept = True
            time.sleep(1.0)
        return self.linear(x.flatten(1))


def sleeper(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """What the study of short trials names as its model."""
    return Sleeper(int(torch.Size(input_shape).numel()), classes)


def busy(trials: int, folder: Path) -> dict[str, float]:
    """Share of the workers' time, between first and last trial, in which a trial ran."""
    protocol = {
        "splits": {"meta": 100, "val": 100, "test": 1400},
        "model": {"name": "benchmarks.ledger:sleeper"},
        "schedule": {"epochs": 1, "lr": 0.05},
    }
    request = {"arms": ["ce"], "repeats": 1, "seeds": trials}
    path = folder / "short.yaml"
    path.write_text(json.dumps({"name": "short", "protocol": protocol, "request": request}))
    storage = folder / "short"
    command = [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(path)]
    command += ["--storage", str(storage), "--wandb", "offline"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    results = [t.result for t in Ledger.open(str(storage)).trials().values()]
    ends = sorted(f.stat().st_mtime for f in storage.glob("trials/*/result.json"))
    seconds = [result["cost"]["seconds"] for result in results if result]
    cores = os.cpu_count() or 1
    wall = ends[-1] - ends[cores - 1]
    return {
        "trials": len(seconds),
        "seconds of a trial": sum(seconds) / len(seconds),
        "busy, in percent": 100 * sum(seconds[cores:]) / (cores * wall),
    }


def run(finished: int, latency: float, short: int) -> dict[str, dict[str, float]]:
    """All measurements."""
    figures = {}
    study = large_study(finished)
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        local = str(Path(folder, "large"))
        count = fill(local, study)
        figures[f"{count} trials, local"] = measure(local, study)
        with slow_object_store(latency) as environment:
            os.environ.update(environment)
            url = f"s3://{BUCKET}/large"
            fill(url, study)
            figures[f"{count} trials, object store + {1000 * latency:.0f} ms"] = measure(url, study)
        figures[f"{short} short trials on {socket.gethostname()}"] = busy(short, Path(folder))
    return figures


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--finished", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=30.0, help="milliseconds")
    parser.add_argument("--short", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = run(given.finished, given.latency / 1000, given.short)
    table = Table("", "", box=None)
    for title, values in figures.items():
        table.add_row(title, style="bold")
        for name, value in values.items():
            table.add_row(f"  {name}", f"{value:.2f}")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
