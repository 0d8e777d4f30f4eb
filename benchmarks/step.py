"""What a training step costs: plain, meta-learned in every way there is, and with peers' libraries.

    python -m benchmarks.step [--models mlp,resnet32,wrn_28_10] [--device cpu|cuda] [--rounds N]
                              [--grow batch,width,classes] [--json FILE]

All steps are those of real trials on random images. In each round every one is timed once, and
divided by the plain step of that round; shown are medians, and quartiles as the spread. On a CPU
seconds are the process's own, so that other processes disturb less; on a GPU they are wall time.
Peak memory is what a step allocates at most beyond what was there before it; "of all" counts what
a trial holds between its steps too: model, meta-parameters, optimizers' state.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks.peers import PEERS, installed
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.network import same_random_state
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import Meta
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.training import cuda_graph
from pipelines.training.cuda_graph import CapturedSteps
from pipelines.training.fast_paths import FastPaths
from pipelines.training.phase import PhaseTraining
from pipelines.training.recorder import recorder_for
from pipelines.training.trial import TrainingRun

WARM_UP = {"cpu": 1, "cuda": cuda_graph.WARM_UP + 1}  # steps after the first; the last is a replay
SHORTEST = 0.2  # seconds of one measurement
EPOCH = 1  # the second: nothing of it is observed for the history
BATCH = {"mlp": 100, "resnet32": 100, "wrn_28_10": 100}
CPU_BATCH = {"mlp": 100, "resnet32": 100, "wrn_28_10": 4}
WIDTHS = {"mlp": (64, 256, 1024), "wrn_28_10": (1, 2, 4)}
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One way to take a step.

    An arm, what its `meta` says, a peer's library in its place, fast paths that are left out.
    """

    arm: str
    meta: dict[str, Any] = field(default_factory=dict)
    peer: str | None = None
    without: tuple[str, ...] = ()


CASES = [
    Case("ce"),
    Case("l2rw"),
    Case("l2rw", {"engine": "finite_difference"}),
    Case("l2rw", {"engine": "one_sided_difference", "graph": "retain"}),
    Case("l2rw", {"engine": "double_backward"}),
    Case("l2rw", {"last_layers": 1}),
    Case("mw_net"),
    Case("mw_net", {"graph": "retain"}),
    Case("mw_net", {"lookahead": "alternating"}),
    Case("mw_net", {"engine": "finite_difference"}),
    Case("mw_net", {"engine": "one_sided_difference", "lookahead": "alternating"}),
    Case("mw_net", {"engine": "double_backward"}),
    Case("mw_net", {"last_layers": 1}),
    Case("gce_learned"),
    *(Case("mw_net", {"engine": "double_backward"}, peer) for peer in PEERS),
]


@dataclass(frozen=True)
class Shape:
    """What is trained: the model, its options, and the size of things."""

    model: str
    batch: int
    classes: int = 10
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    threads: int = 1

    def protocol(self) -> Protocol:
        """The protocol of such a trial."""
        return Protocol.model_validate(
            {
                "data": {"source": f"benchmarks.images:images_{self.classes}"},
                "splits": {
                    "meta": max(self.batch, self.classes),
                    "val": self.classes,
                    "test": self.classes,
                },
                "augment": "crop_flip",
                "model": {"name": self.model, "options": self.options},
                "schedule": {"batch_size": self.batch},
                "precision": self.precision,
                "threads": self.threads,
            }
        )


class Stepper:
    """Takes the steps of one case, on a trial that cases of the same arm share."""

    def __init__(self, case: Case, trial: TrainingRun, batch: int) -> None:
        self.case, self.training = case, trial.training
        phase = self.training.phase
        how = Meta.model_validate(phase.meta.model_dump() | {"batch_size": batch} | case.meta)
        self.phase = phase.model_copy(update={"meta": how})
        kind = PEERS[case.peer] if case.peer else MetaLearner
        self.meta = kind(self.training.objective, self.training.network, how, trial.fast.fused)
        # A peer's step allocates and reads as it likes.
        recorder = recorder_for(trial.device) if trial.fast.cuda_graph else None
        self.captured_steps = CapturedSteps(recorder) if recorder and not case.peer else None
        self.draws = _draws(self)
        self.passes = 0

    def __call__(self) -> None:
        """One step."""
        self.enter()
        step = next(self.draws)
        _, self.passes = self.training.step(step[1], EPOCH, step[0])

    def recording(self) -> Record:
        """How many steps were replays of a recording, and why not, where they were not."""
        captured = self.captured_steps
        return {
            "steps_replayed": captured.replayed if captured else 0,
            "not_replayed": captured.fallback_reason if captured else None,
        }

    def enter(self) -> None:
        """The trial takes its steps in this way."""
        training = self.training
        training.phase, training.meta, training.captured_steps = (
            self.phase,
            self.meta,
            self.captured_steps,
        )


def _draws(stepper: Stepper) -> Iterator[tuple[int, Any]]:
    """Of one size: a step of another would be recorded on its own."""
    while True:
        stepper.enter()
        draws = list(enumerate(stepper.training.epoch_inputs(EPOCH)))
        yield from (found for found in draws if len(found[1].rows) == len(draws[0][1].rows))


def measure(shape: Shape, device: torch.device, rounds: int) -> list[Record]:
    """All cases on one shape, and the share of the data path; ratios are to the plain step."""
    cases = [case for case in cases_on(device) if case.peer is None or installed(case.peer)]
    wanted = dict.fromkeys((case.arm, case.without) for case in cases)
    trials = {(arm, out): make_trial(shape, arm, device, out) for arm, out in wanted}
    steppers = [Stepper(case, trials[case.arm, case.without], shape.batch) for case in cases]
    works: list[Callable[[], None]] = [*steppers, _loader(trials["ce", ()].training)]
    peaks = [warm_up(work, device) for work in works]
    held = [held_bytes(stepper.training) for stepper in steppers]
    repeats = max(1, round(SHORTEST / seconds_of(works[0], 1, device)))
    columns = interleaved(works, repeats, rounds, device)
    common = flat(shape) | {"device": _name(device), "torch": torch.__version__}
    records = []
    for case, stepper, seconds, peak, rest in zip(
        cases, steppers, columns, peaks, held, strict=False
    ):
        how = stepper.phase.meta.model_dump(include={"engine", "lookahead", "graph", "last_layers"})
        known: Record = {"arm": case.arm, "peer": case.peer, "without": " ".join(case.without)}
        known |= how if case.arm != "ce" else {}
        known["count"] = stepper.passes / (3 * shape.batch)
        known |= stepper.recording()
        known |= {"peak_bytes": peak, "peak_ratio_to_plain": peak / peaks[0]}
        known["allocated_ratio_to_plain"] = (peak + rest) / (peaks[0] + held[0])
        records.append(common | known | ratios(seconds, columns[0], shape.batch))
    loader: Record = {"arm": "loader", "peer": None, "count": 0.0}
    return [*records, common | loader | ratios(columns[-1], columns[0], shape.batch)]


def flat(shape: Shape) -> Record:
    """A shape as part of a record: its options as one text."""
    options = " ".join(f"{name}={value}" for name, value in shape.options.items())
    return asdict(shape) | {"options": options}


def cases_on(device: torch.device) -> list[Case]:
    """All ways to take a step there."""
    if device.type == "cpu":
        return CASES
    plainly = [Case(arm, without=("cuda_graph",)) for arm in ("ce", "l2rw", "mw_net")]
    return [*CASES, *plainly]


def warm_up(work: Callable[[], None], device: torch.device) -> int:
    """The first steps; the peak of the second, before anything is recorded."""
    work()
    peak = _peak(work, device)
    for _ in range(WARM_UP[device.type]):
        work()
    return peak


def held_bytes(training: PhaseTraining) -> int:
    """What a trial holds between its steps, beside the data set."""
    return sum(t.nbytes for tensors in training.state().values() for t in tensors)


def interleaved(
    works: list[Callable[[], None]], repeats: int, rounds: int, device: torch.device
) -> list[tuple[float, ...]]:
    """Seconds of each piece of work, in rounds of one after the other."""
    times = [[seconds_of(work, repeats, device) for work in works] for _ in range(rounds)]
    return list(zip(*times, strict=True))


def make_trial(
    shape: Shape, arm: str, device: torch.device, without: tuple[str, ...] = ()
) -> TrainingRun:
    """A trial of an arm on that shape, before its first step."""
    phases = tuple(resolve_arm(arm, {}).resolve({}))
    spec = TrainingSpec(shape.protocol(), phases, data_seed=0, run_seed=0)
    with same_random_state(device):
        return TrainingRun(spec, device, FastPaths.without(without))


def _loader(training: PhaseTraining) -> Callable[[], None]:
    """The data path of a step: draws, crops, flips, normalisation."""

    def batches() -> Iterator[None]:
        while True:
            for step_inputs in training.epoch_inputs(EPOCH):
                training.batch(step_inputs, ())
                yield

    found = batches()
    return lambda: next(found)


def seconds_of(work: Callable[[], None], repeats: int, device: torch.device) -> float:
    """Seconds of one piece of work, the mean of `repeats`."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize(device)
    start = clock()
    for _ in range(repeats):
        work()
    if cuda:
        torch.cuda.synchronize(device)
    return (clock() - start) / repeats


def _peak(work: Callable[[], None], device: torch.device) -> int:
    """Bytes that are allocated at most during a step, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        work()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()  # pyright: ignore[reportAttributeAccessIssue]
        highest = max(highest, total)
    return highest


def ratios(seconds: tuple[float, ...], plain: tuple[float, ...], batch: int) -> Record:
    """Medians of a way's seconds, and of its ratios to the plain way's of the same round."""
    found = [s / p for s, p in zip(seconds, plain, strict=True)]
    low, middle, high = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
    median = statistics.median(seconds)
    return {
        "seconds": median,
        "images_per_second": batch / median,
        "ratio_to_plain": middle,
        "ratio_low": low,
        "ratio_high": high,
    }


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def shapes(models: list[str], grow: list[str], device: str, precision: str) -> list[Shape]:
    """One shape for each model, and those that it grows through."""
    batches = BATCH if device == "cuda" else CPU_BATCH
    found = []
    for model in models:
        batch = batches[model]
        base = Shape(model, batch, precision=precision)
        found.append(base)
        if "batch" in grow:
            found += [replace(base, batch=n) for n in (batch // 4, batch // 2, 2 * batch)]
        if "classes" in grow and batch >= 100:
            found.append(replace(base, classes=100))
        if "width" in grow and model in WIDTHS:
            name = "hidden" if model == "mlp" else "width"
            values = [(w,) if model == "mlp" else w for w in WIDTHS[model]]
            found += [replace(base, options={name: value}) for value in values]
    return found


def table(records: list[Record]) -> Table:
    """The records of one shape."""
    first = records[0]
    title = "{model}, batch {batch} + {batch}, {classes} classes, {precision}, {device}".format(
        **first
    )
    shown = Table(title=f"{title} {first['options']}", title_justify="left")
    for column in ("step", "count", "time", "quartiles", "peak", "of all", "seconds", "images/s"):
        shown.add_column(column, justify="left" if column == "step" else "right", no_wrap=True)
    for r in records:
        usual = Meta().model_dump()
        how = [r[n] for n in ("engine", "lookahead", "graph") if n in r and r[n] != usual[n]]
        if r.get("last_layers"):
            how.append(f"last {r['last_layers']}")
        how += [f"without {r['without']}"] if r.get("without") else []
        shown.add_row(
            " ".join([r["arm"], *([r["peer"]] if r["peer"] else how)]),
            f"{r['count']:.2f}",
            f"{r['ratio_to_plain']:.3g}",
            f"{r['ratio_low']:.3g}-{r['ratio_high']:.3g}",
            f"{r['peak_ratio_to_plain']:.2f}" if "peak_ratio_to_plain" in r else "",
            f"{r['allocated_ratio_to_plain']:.2f}" if "allocated_ratio_to_plain" in r else "",
            f"{r['seconds']:.3g}",
            f"{r['images_per_second']:.0f}",
        )
    return shown


def main(
    models: Annotated[str, typer.Option()] = "mlp,resnet32,wrn_28_10",
    grow: Annotated[str, typer.Option(help="batch, width, classes")] = "",
    device: Annotated[str, typer.Option()] = "cuda" if torch.cuda.is_available() else "cpu",
    precision: Annotated[str, typer.Option()] = "float32",
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the tables, and write the records."""
    console, records = Console(width=120), []
    for name in [name for name in PEERS if not installed(name)]:
        console.print(f"{name}: not installed, skipped")
    for shape in shapes(models.split(","), grow.split(","), device, precision):
        found = measure(shape, torch.device(device), rounds)
        gc.collect()  # a stepper and its draws hold each other, and their recordings
        console.print(table(found))
        records += found
        if file:
            file.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    typer.run(main)
