"""One trial, from its plain configuration to its result: the one training loop.

`trial` is a generator; Ray, a plain loop and the tests only consume it. It needs torch and nothing
else: no Ray, no
W&B, no files. All randomness is keyed by (run seed, purpose, phase, epoch, step), so a trial that
goes on from a
snapshot is bit-identical to one that was never interrupted (on a CPU, at the protocol's number of
threads).
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.objective import (
    Batch,
    Facts,
    Objective,
    Outputs,
    Pool,
    cross_entropy,
    generator,
    seed_of,
)
from pipelines.arms import Phase, build_method
from pipelines.augmentation import crop_flip
from pipelines.data import Task, prepare
from pipelines.hypergradient import Parameters, same_random_state
from pipelines.meta_learning import MetaLearner
from pipelines.metrics import evaluate, score, worst_score
from pipelines.models import build
from pipelines.network import Network
from pipelines.observation import implicit_weights, observed_epochs, weight_row
from pipelines.schedule import learning_rate
from pipelines.study import Protocol, Schedule, varied

State = dict[str, Any]


class Progress(NamedTuple):
    """What a trial yields after each step: a row at the end of an epoch, the result at its end, and
    a way to its state."""

    row: dict[str, Any] | None
    result: dict[str, Any] | None
    snapshot: Callable[[], State]


def trial(
    spec: dict[str, Any], state: State | None = None, device: str = "cpu"
) -> Iterator[Progress]:
    """Train and evaluate one trial.

    spec: protocol, change (of the protocol, see `varied`), phases, data_seed, run_seed; plain JSON. state: a snapshot to go on from.
    Yields after every step; the last one carries the result.
    """
    run = Trial(spec, torch.device(device))
    if state is not None:
        run.load_state_dict(state)
    yield from run.steps()
    yield Progress(None, run.result(), run.state_dict)


class Trial:
    """The state of a running trial: where it stands, what it trains, what it has seen."""

    def __init__(self, spec: dict[str, Any], device: torch.device) -> None:
        self.protocol = varied(Protocol.model_validate(spec["protocol"]), spec["change"])
        self.phases = [Phase.model_validate(phase) for phase in spec["phases"]]
        self.seed: int = spec["run_seed"]
        self.device = device
        torch.set_num_threads(self.protocol.threads)
        self.task: Task = prepare(self.protocol, spec["data_seed"]).to(device)
        self.classes = len(self.task.classes)
        self.lengths = [
            max(1, round(p.epochs * self.protocol.schedule.epochs)) for p in self.phases
        ]
        self.selects = all(phase.pool != "meta+val" for phase in self.phases)
        self.phase_index = self.epoch = self.step = self.steps_done = 0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.passes = 0
        self.seconds, self._since = 0.0, time.perf_counter()
        self.diverged = False
        rows = self.task.facts["examples"]
        self.example_weights = torch.full((rows,), torch.nan, device=device)
        self.example_losses = torch.full((rows,), torch.nan, device=device)
        self.model = self._build_model()
        self._enter_phase()

    # ---- phases

    def _build_model(self) -> torch.nn.Module:
        torch.default_generator.manual_seed(seed_of(self.seed, "model", self.phase_index))
        model = build(self.protocol.model, self.task.input_shape, self.classes)
        return model.to(self.device).train()

    def _enter_phase(self) -> None:
        phase = self.phases[self.phase_index]
        if phase.start == "fresh" and self.phase_index:
            self.model = self._build_model()
        self.phase = phase
        self.schedule = Schedule.model_validate(
            self.protocol.schedule.model_dump() | phase.schedule
        )
        self.pool = self.task.pool(phase.pool, phase.meta_repeat)
        # Pools that hold the training split have its epoch, however often meta is repeated: all
        # arms
        # that learn from noisy labels take the same number of steps.
        self.epoch_size = len(self.task.train if "train" in phase.pool else self.pool)
        self.steps_per_epoch = math.ceil(self.epoch_size / self.schedule.batch_size)
        self.objective = self._build_objective(self.phase_index)
        network = Network(
            self.model, self.objective.needs_features, self.protocol.precision == "bfloat16"
        )
        self.network = network
        self.theta = network.parameters()
        self.optimizer = torch.optim.SGD(
            [*self.theta.values(), *self.objective.train_parameters()],
            lr=self.schedule.lr,
            momentum=self.schedule.momentum,
            nesterov=self.schedule.nesterov,
            weight_decay=self.schedule.weight_decay,
            fused=True,
        )
        self.meta = MetaLearner(self.objective, network, self.task, phase.meta, self._inputs)
        self._begin_sums()

    def _build_objective(self, index: int) -> Objective:
        torch.default_generator.manual_seed(seed_of(self.seed, "objective", index))
        phase = self.phases[index]
        objective = build_method(phase.method, phase.hyperparameters).to(self.device)
        pool = self.task.pool(phase.pool, 1)
        labels = torch.full((self.task.facts["examples"],), -1, device=self.device)
        labels[pool.index] = pool.y
        counts = torch.bincount(pool.y, minlength=self.classes)
        objective.bind(Facts(len(labels), self.classes, labels, counts))
        return objective

    def _begin_sums(self) -> None:
        self.sums = {
            name: torch.zeros((), device=self.device)
            for name in ("loss", "examples", "meta_norm", "meta_steps")
        }

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
            self.network.close()
            self.phase_index, self.epoch = self.phase_index + 1, 0
            self._enter_phase()
            self._check_engine()

    def _epoch(self) -> Iterator[Progress]:
        batches = self._order().tensor_split(self.steps_per_epoch)
        observed = self._number() in observed_epochs(sum(self.lengths))
        for rows in batches[self.step :]:
            self._train_step(rows.to(self.device), observed)
            self.step += 1
            self.steps_done += 1
            if self.step < self.steps_per_epoch:
                yield Progress(None, None, self.state_dict)
        row = self._end_epoch(observed)
        self.step, self.epoch = 0, self.epoch + 1
        yield Progress(row, None, self.state_dict)

    def _number(self) -> int:
        """The epoch's number over all phases, from 1."""
        return sum(self.lengths[: self.phase_index]) + self.epoch + 1

    def _order(self) -> Tensor:
        """Rows of the pool in this epoch's order: drawn without replacement, or with the method's
        own weights."""
        gen = generator(self.seed, "order", self.phase_index, self.epoch)
        with torch.no_grad():
            weights = self.objective.begin_epoch(self.epoch, self._predict)
        if weights is not None:
            return torch.multinomial(
                weights.cpu(), self.epoch_size, replacement=True, generator=gen
            )
        return torch.randperm(len(self.pool), generator=gen)[: self.epoch_size]

    def _predict(self, pool: Pool) -> Outputs:
        return self.network.evaluate(self.task.normalise(self.task.pool(pool, 1).x))

    def _train_step(self, rows: Tensor, observed: bool) -> None:
        key = (self.seed, self.phase_index, self.epoch, self.step)
        alpha = self._set_learning_rate()
        batch = self.objective.before_step(self._batch(rows, key), self.network.without_trace)
        meta = self.meta.active and self._step_number() % self.phase.meta.every == 0
        alternating = self.phase.meta.lookahead == "alternating"
        if meta and not alternating:
            self._meta_step(batch, self.theta, alpha)
        before = (
            {n: p.detach().clone() for n, p in self.theta.items()} if meta and alternating else None
        )
        self.network.reseed(*key, "forward")
        outputs = self.network(batch.x)
        if observed:
            outputs.logits.retain_grad()
        losses = self.objective(outputs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        if self.schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.theta.values(), self.schedule.clip)
        self.optimizer.step()
        if before is not None:
            # What the optimizer adds (momentum, weight decay) does not depend on phi; Nesterov
            # scales what does.
            scale = 1 + self.schedule.momentum if self.schedule.nesterov else 1.0
            self._meta_step(batch, before, scale * alpha, ahead=self.theta)
        self._account(outputs, losses.detach(), batch, observed)

    def _meta_step(
        self, batch: Batch, theta: Parameters, alpha: float, ahead: Parameters | None = None
    ) -> None:
        norm, passes = self.meta.step(batch, theta, alpha, ahead)
        self.sums["meta_norm"] += norm
        self.sums["meta_steps"] += 1
        self.passes += passes

    def _check_engine(self) -> None:
        if self.meta.active:
            with same_random_state(self.device):
                self.meta.check(self._build_model(), self.pool.x)

    def _account(self, outputs: Outputs, losses: Tensor, batch: Batch, observed: bool) -> None:
        with torch.no_grad():
            self.objective.after_step(outputs.detach(), losses, batch)
            self.sums["loss"] += losses.sum()
            self.sums["examples"] += len(losses)
            if observed:
                self.example_weights[batch.index] = implicit_weights(outputs, batch.y).float()
                self.example_losses[batch.index] = cross_entropy(outputs.logits, batch.y).float()
        self.passes += 3 * len(losses)

    def _step_number(self) -> int:
        return self.epoch * self.steps_per_epoch + self.step

    def _set_learning_rate(self) -> float:
        steps = self.lengths[self.phase_index] * self.steps_per_epoch
        rate = learning_rate(self.schedule, self._step_number(), steps, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _batch(self, rows: Tensor, key: tuple[int, ...]) -> Batch:
        steps = self.lengths[self.phase_index] * self.steps_per_epoch
        return Batch(
            x=self._inputs(self.pool.x[rows], *key, "augment"),
            y=F.one_hot(self.pool.y[rows], self.classes).float(),
            index=self.pool.index[rows],
            trusted=self.pool.trusted[rows],
            key=key,
            progress=self._step_number() / steps,
        )

    def _inputs(self, x: Tensor, *key: int | str) -> Tensor:
        if self.protocol.augment == "crop_flip":
            x = crop_flip(x, generator(*key))
        return self.task.normalise(x)

    # ---- what is seen

    def _end_epoch(self, observed: bool) -> dict[str, Any]:
        sums = {name: float(value) for name, value in self.sums.items()}
        self._begin_sums()
        row: dict[str, Any] = {
            "epoch": self._number(),
            "phase": self.phase.name,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train/loss": sums["loss"] / sums["examples"],
            "passes": self.passes,
        }
        if not math.isfinite(row["train/loss"]):
            self.diverged = True
            row["train/loss"] = None
        else:
            row |= self._observe(sums, observed)
        self.history.append(row)
        return row

    def _observe(self, sums: dict[str, float], observed: bool) -> dict[str, Any]:
        row: dict[str, Any] = {}
        if self.selects:
            metrics = self._evaluate(self.task.val, self.objective)
            row |= {f"val/{n}": v for n, v in metrics.items() if isinstance(v, float)}
            self._select(score(metrics, self.protocol.metric))
        if sums["meta_steps"]:
            row["meta/gradient_norm"] = sums["meta_norm"] / sums["meta_steps"]
        row |= {f"learned/{n}": v.tolist() for n, v in self.objective.learned().items()}
        train = self.task.train
        if observed and bool((train.truth >= 0).all()):
            weights = self.example_weights[train.index]
            if weights.isfinite().any():
                row |= weight_row(weights, train.y != train.truth)
        return row

    def _evaluate(self, split, objective: Objective) -> dict[str, Any]:
        outputs = self.network.evaluate(self.task.normalise(split.x))
        return evaluate(objective.predict(outputs), split.y, self.classes)

    def _select(self, value: float) -> None:
        if self.best is None or value > self.best["score"]:
            self.best = {
                "score": value,
                "epoch": self._number(),
                "phase": self.phase_index,
                "model": _clone(self.model.state_dict()),
                "objective": _clone(self.objective.state_dict()),
            }

    # ---- the end

    def result(self) -> dict[str, Any]:
        """The trial's record. `held_out` holds the test metrics, and is for statistics.py alone."""
        last = self.history[-1]
        val = {n.removeprefix("val/"): v for n, v in last.items() if n.startswith("val/")}
        metric = self.protocol.metric
        record: dict[str, Any] = {
            "status": "diverged" if self.diverged else "completed",
            "epochs": len(self.history),
            "selected_epoch": self.best["epoch"] if self.best else None,
            "val": None,
            "held_out": None,
            "passes": self.passes,
            "learned": {n: v for n, v in last.items() if n.startswith("learned/")},
            "weights_auroc": last.get("weights/auroc"),
            "data": self.task.facts,
        }
        worst = worst_score(metric)
        if self.diverged:
            record["val"] = {"last": worst, "selected": worst}
            record["held_out"] = {"score": {"last": worst, "selected": worst}}
        else:
            if self.selects:
                assert self.best is not None
                record["val"] = {"last": score(val, metric), "selected": self.best["score"]}
            record["held_out"] = self._held_out()
        self._tick()
        record["cost"] = {"seconds": self.seconds, "peak_memory": self._peak_memory()}
        return record

    def _held_out(self) -> dict[str, Any]:
        last = self._evaluate(self.task.test, self.objective)
        selected = last
        if self.best is not None:
            objective = self._build_objective(self.best["phase"])
            objective.load_state_dict(self.best["objective"])
            final = _clone(self.model.state_dict())
            self.model.load_state_dict(self.best["model"])
            selected = self._evaluate(self.task.test, objective)
            self.model.load_state_dict(final)
        metric = self.protocol.metric
        scores = {"last": score(last, metric), "selected": score(selected, metric)}
        return {"score": scores, "last": last, "selected": selected}

    def examples(self) -> dict[str, list]:
        """Weight and loss of each training example at its last observed epoch, with its row in the
        data set."""
        index = self.task.train.index
        return {
            "index": index.tolist(),
            "weight": self.example_weights[index].tolist(),
            "loss": self.example_losses[index].tolist(),
        }

    def _peak_memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    # ---- state

    def state_dict(self) -> State:
        """Everything needed to go on bit-identically; tensors and plain values only. Later steps do
        not change it."""
        self._tick()
        return _clone(
            {
                "steps": self.steps_done,
                "position": [self.phase_index, self.epoch, self.step],
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "meta_optimizer": self.meta.state_dict(),
                "sums": self.sums,
                "example_weights": self.example_weights,
                "example_losses": self.example_losses,
                "best": self.best,
                "history": self.history,
                "passes": self.passes,
                "seconds": self.seconds,
                "diverged": self.diverged,
            }
        )

    def load_state_dict(self, state: State) -> None:
        """Stand where the state was taken."""
        state = _clone(state)
        self.phase_index, self.epoch, self.step = state["position"]
        self._enter_phase()
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.meta.load_state_dict(state["meta_optimizer"])
        self.steps_done = state["steps"]
        for name in (
            "sums",
            "example_weights",
            "example_losses",
            "best",
            "history",
            "passes",
            "seconds",
            "diverged",
        ):
            setattr(self, name, state[name])


def _clone(value: Any) -> Any:
    """A deep copy of nested tensors and plain values."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _clone(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_clone(part) for part in value)
    return value
