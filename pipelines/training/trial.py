"""One trial, from its plain configuration to its result: the one training loop.

`run_trial` is a generator; Ray, a plain loop and the tests only consume it. It needs torch and
nothing else: no Ray, no W&B, no files. All randomness is keyed by (run seed, purpose, phase, epoch,
step), so a trial that goes on from a snapshot is bit-identical to one that was never interrupted
(on a CPU, at the protocol's number of threads). Nothing inside an epoch waits for the device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch

from methods.objective import Objective, PreviousPhase, seed_of
from pipelines.data.task import Task, prepare
from pipelines.documents import Json
from pipelines.models.build import build_networks
from pipelines.models.network import Network, same_random_state
from pipelines.study.method_loading import build_method, is_fitted, method_class
from pipelines.study.phase_rules import phase_length
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.evaluation import Evaluator
from pipelines.training.example_weights import ExampleRecord, observed_epochs
from pipelines.training.fast_paths import ALL_FAST, FastPaths
from pipelines.training.fitting import FittingRun
from pipelines.training.peak_memory import peak_memory
from pipelines.training.phase import PhaseTraining
from pipelines.training.phase_start import learned_path, phase_info, predictor
from pipelines.training.process_settings import set_up_process
from pipelines.training.progress import Progress, State
from pipelines.training.snapshot import clone
from pipelines.trial_documents import Outcome


def run_trial(
    spec: TrainingSpec,
    state: State | None = None,
    device: str = "cpu",
    fast: FastPaths = ALL_FAST,
) -> Iterator[Progress]:
    """Train and evaluate one trial. Yields after every step; the last one carries the result.

    state: a snapshot to go on from.
    """
    run = running(spec, torch.device(device), fast)
    if state is not None:
        run.load_state_dict(state)
    yield from run.steps()
    yield Progress(None, run.result(), run.state_dict)


def running(
    spec: TrainingSpec,
    device: torch.device,
    fast: FastPaths = ALL_FAST,
    task: Task | None = None,
) -> TrainingRun | FittingRun:
    """A trial at its start; task: examples in place of those of the spec."""
    if is_fitted(spec.phases[0].method):
        return FittingRun(spec, device, task)
    return TrainingRun(spec, device, fast, task)


class TrainingRun:
    """The state of a running trial: where it stands, what it trains, what it has seen.

    task: examples in place of those of the spec.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        device: torch.device,
        fast: FastPaths = ALL_FAST,
        task: Task | None = None,
    ) -> None:
        self.protocol, self.phases, self.seed = spec.protocol, spec.phases, spec.run_seed
        self.device, self.fast = device, fast
        set_up_process(self.protocol)
        self.task = (task or prepare(self.protocol, spec.data_seed)).to(device)
        self.classes = len(self.task.classes)
        sizes = self.task.sizes
        self.lengths = [phase_length(p, self.protocol, sizes).epochs for p in self.phases]
        self.evaluator = Evaluator(self.task, self.protocol, self.phases)
        self.phase_index = self.epoch = self.step = self.steps_done = 0
        self.history: list[dict[str, Any]] = []
        self.passes = self.replayed = 0
        self.seconds, self._since = 0.0, time.perf_counter()
        self.diverged = False
        self.record = ExampleRecord(self.task.description["examples"], device)
        self.model = self._build_model()
        self._enter_phase()

    # ---- phases

    def _build_model(self) -> torch.nn.Module:
        """A new model; `start: initial` repeats the weights of the first phase."""
        phase = self.phases[self.phase_index]
        number = 0 if phase.start == "initial" else self.phase_index
        shape, networks = self.task.input_shape, method_class(phase.method).networks
        key = (self.seed, "model", number)
        model = build_networks(self.protocol.model, shape, self.classes, networks, key)
        return model.to(self.device).train()

    def _enter_phase(self, previous: PreviousPhase | None = None) -> None:
        """Stand at the start of a phase. previous: where it is entered for the first time."""
        number = self.phase_index
        self.objective = self._build_objective(number)
        if previous:
            with torch.no_grad():
                self.objective.inherit(previous)
        if number and self.phases[number].start != "continue":
            self.model = self._build_model()
        self.training = PhaseTraining(
            self.protocol,
            self.phases[number],
            self.task,
            self.model,
            self.objective,
            (self.seed, number),
            self.fast,
        )

    def next_phase(self) -> None:
        """Go on from a phase to the next one, which may learn from what it leaves."""
        before = self.training
        before.network.close()
        if before.average:
            before.average.adopt()
        self.replayed = self._replayed()
        self.phase_index, self.epoch, self.step = self.phase_index + 1, 0, 0
        phase = self.phases[self.phase_index]
        old, needed = before.network, method_class(phase.method).needs_features
        network = Network(self.model, needed, old.autocast, old.channels_last)
        predict = predictor(network, self.task, phase.pool, phase.method)
        path = learned_path(self.history, before.phase.name)
        self._enter_phase(PreviousPhase(before.objective, predict, path))
        network.close()
        self._check_engine()

    def _build_objective(self, index: int) -> Objective:
        torch.default_generator.manual_seed(seed_of(self.seed, "objective", index))
        phase = self.phases[index]
        objective = build_method(phase.method, phase.hyperparameters).to(self.device)
        set_up_process(self.protocol)  # of what it has loaded, too
        objective.bind(phase_info(objective, phase, self.protocol, self.task, self.model))
        return objective

    def _check_engine(self) -> None:
        if self.training.meta.active:
            with same_random_state(self.device):
                self.training.check_engine(self._build_model())

    # ---- the loop

    def steps(self) -> Iterator[Progress]:
        """Train from wherever the state stands to the end."""
        if not self.history and not self.step:
            self._check_engine()
        while self.phase_index < len(self.phases) and not self.diverged:
            while self.epoch < self.lengths[self.phase_index] and not self.diverged:
                yield from self._epoch()
            if self.phase_index + 1 == len(self.phases) or self.diverged:
                return
            self.next_phase()

    def _epoch(self) -> Iterator[Progress]:
        observed = self._number() in observed_epochs(sum(self.lengths))
        if not self.step:
            self.passes += self.training.choices.begin(self.epoch)
        for step_inputs in self.training.epoch_inputs(self.epoch)[self.step :]:
            step_output, passes = self.training.step(step_inputs, self.epoch, self.step)
            if observed:
                self.record.see(step_output)
            self.passes += passes
            self.step += 1
            self.steps_done += 1
            if self.step < self.training.length.within(self.epoch):
                yield Progress(None, None, self.state_dict)
        row = self.end_epoch(observed)
        self.step, self.epoch = 0, self.epoch + 1
        yield Progress(row, None, self.state_dict)

    def _number(self) -> int:
        """The epoch's number over all phases, from 1."""
        return sum(self.lengths[: self.phase_index]) + self.epoch + 1

    # ---- what is seen

    def end_epoch(self, observed: bool) -> dict[str, Any]:
        """Evaluate; a row of the history. observed: it shows who had weight."""
        sums = {name: float(value) for name, value in self.training.sums.items()}
        for total in self.training.sums.values():
            total.zero_()
        row: dict[str, Any] = {
            "epoch": self._number(),
            "phase": self.training.phase.name,
            "lr": self.training.rate(self.training.length.until(self.epoch) - 1),
            "train/loss": sums["loss"] / sums["examples"],
        }
        if not math.isfinite(row["train/loss"]):
            self.diverged = True
            row["train/loss"] = None
        else:
            with self.training.as_evaluated():
                row |= self._observe(sums, observed)
        row["passes"] = self.passes
        self.history.append(row)
        return row

    def _observe(self, sums: dict[str, float], observed: bool) -> dict[str, Any]:
        row: dict[str, Any] = self.evaluator.epoch(
            self.training.network, self.objective, self._number(), self.phase_index
        )
        self.passes += self.evaluator.passes(self.objective.networks)
        if sums["meta_steps"]:
            row["meta/gradient_norm"] = sums["meta_norm"] / sums["meta_steps"]
        row |= {f"learned/{n}": v.tolist() for n, v in self.objective.learned().items()}
        return row | self.record.row(self.task.train) if observed else row

    def result(self) -> Outcome:
        """What the trial came to."""
        last, best = self.history[-1], self.evaluator.best
        scores = self.evaluator.worst()
        if not self.diverged:
            with self.training.as_evaluated():
                scores = self.evaluator.final_scores(
                    last, self.training.network, self.objective, self._build_objective
                )
        return {
            "status": "diverged" if self.diverged else "completed",
            "epochs": len(self.history),
            "selected_epoch": best["epoch"] if best else None,
            **scores,
            "passes": self.passes,
            "learned": {n: v for n, v in last.items() if n.startswith("learned/")},
            "weights_auroc": last.get("weights/auroc"),
            "collapse": self.evaluator.signs(self.history),
            "data": self.task.description,
            "cost": self._cost(),
        }

    def _cost(self) -> Json:
        self._tick()
        cost: Json = {"seconds": self.seconds, "peak_memory": peak_memory(self.device)}
        if self.training.captured_steps:
            reason = self.training.captured_steps.fallback_reason
            cost |= {"steps_replayed": self._replayed(), "not_replayed": reason}
        return cost

    def _replayed(self) -> int:
        """Steps that were replays: of the phases before, and of this one."""
        captured = self.training.captured_steps
        return self.replayed + (captured.replayed if captured else 0)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    # ---- state

    def state_dict(self) -> State:
        """Everything needed to go on bit-identically; tensors and plain values only.

        Later steps do not change it.
        """
        self._tick()
        return clone(
            {
                "steps": self.steps_done,
                "position": [self.phase_index, self.epoch, self.step],
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "best": self.evaluator.best,
                "history": self.history,
                "passes": self.passes,
                "seconds": self.seconds,
                "diverged": self.diverged,
            }
            | self.training.state_dict()
            | self.record.state_dict()
        )

    def load_state_dict(self, state: State) -> None:
        """Stand where the state was taken."""
        state = clone(state)
        self.phase_index, self.epoch, self.step = state["position"]
        self._enter_phase()
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.training.load_state_dict(state)
        self.steps_done = state["steps"]
        self.record.load_state_dict(state)
        self.evaluator.best = state["best"]
        for name in ("history", "passes", "seconds", "diverged"):
            setattr(self, name, state[name])
