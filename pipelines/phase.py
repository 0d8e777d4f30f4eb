"""The training steps of one phase: a method on a pool of examples, with its way to meta-learn."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from methods.objective import Batch, Objective, Outputs, Pool, generator
from pipelines.arms import Phase
from pipelines.augmentation import crop_flip
from pipelines.data import Split, Task
from pipelines.hypergradient import Parameters
from pipelines.meta_learning import Clean, MetaLearner, meta_passes
from pipelines.network import EVALUATION_BATCH, Network
from pipelines.sampling import Draw, draw_epoch
from pipelines.schedule import learning_rate
from pipelines.snapshot import clone
from pipelines.study import Protocol, Schedule


class PhaseTraining:
    """Model, objective and optimizers of a phase, and the one training step that all arms share.

    Nothing here waits for the device: sums stay on it until the end of the epoch.
    key: run seed and number of the phase; epochs: the phase's length.
    """

    def __init__(
        self,
        protocol: Protocol,
        phase: Phase,
        task: Task,
        model: torch.nn.Module,
        objective: Objective,
        key: tuple[int, int],
        epochs: int,
        channels_last: bool = True,
    ) -> None:
        self.phase, self.task, self.objective, self.key = phase, task, objective, key
        self.crops = protocol.augment == "crop_flip"
        self.schedule = Schedule.model_validate(protocol.schedule.model_dump() | phase.schedule)
        self.pool = task.pool(phase.pool, phase.meta_repeat)
        # Pools that hold the training split have its epoch, however often meta is repeated: all
        # arms that learn from noisy labels take the same number of steps.
        self.epoch_size = len(task.train if "train" in phase.pool else self.pool)
        self.steps_per_epoch = math.ceil(self.epoch_size / self.schedule.batch_size)
        self.steps = epochs * self.steps_per_epoch
        self.network = Network(
            model, objective.needs_features, protocol.precision == "bfloat16", channels_last
        )
        self.device = self.network.device
        self.one_hot = torch.eye(len(task.classes), device=self.device)
        self.theta = self.network.parameters()
        self.optimizer = torch.optim.SGD(
            [*self.theta.values(), *objective.train_parameters()],
            lr=self.schedule.lr,
            momentum=self.schedule.momentum,
            nesterov=self.schedule.nesterov,
            weight_decay=self.schedule.weight_decay,
            fused=True,
        )
        self.meta = MetaLearner(objective, self.network, phase.meta)
        self.sums: dict[str, Tensor] = {}
        self.begin_sums()

    def begin_sums(self) -> None:
        """What is summed up over an epoch starts from zero."""
        names = ("loss", "examples", "meta_norm", "meta_steps")
        self.sums = {name: torch.zeros((), device=self.device) for name in names}

    def draws(self, epoch: int) -> list[Draw]:
        """The random choices of an epoch's batches."""
        available = len(self.task.meta)
        take = min(self.phase.meta.batch_size, available) if self.meta.active else 0
        key, clean = (*self.key, epoch), (take, available)
        order = self._order(epoch)
        return draw_epoch(order, self.steps_per_epoch, key, self.crops, clean, self.device)

    def _order(self, epoch: int) -> Tensor:
        """Rows of the pool in this epoch's order: drawn without replacement, or with the method's
        own weights."""
        seed, phase = self.key
        gen = generator(seed, "order", phase, epoch)
        with torch.no_grad():
            weights = self.objective.begin_epoch(epoch, self._predict)
        if weights is not None:
            return torch.multinomial(
                weights.cpu(), self.epoch_size, replacement=True, generator=gen
            )
        return torch.randperm(len(self.pool), generator=gen)[: self.epoch_size]

    def _predict(self, pool: Pool) -> Outputs:
        stored = self.task.pool(pool, 1).x.split(EVALUATION_BATCH)
        return self.network.evaluate(map(self.task.normalise, stored))

    def step(
        self, draw: Draw, epoch: int, step: int, observed: bool = False
    ) -> tuple[Outputs, Batch, int]:
        """One training step with its meta step; outputs, batch, and the example passes it took.

        observed: keep the loss's gradient on the logits.
        """
        number, how = epoch * self.steps_per_epoch + step, self.phase.meta
        alpha = self._set_learning_rate(number)
        batch = self.batch(draw, epoch, step)
        batch = self.objective.before_step(batch, self.network.without_trace)
        meta = self.meta.active and number % how.every == 0
        alternating, retain = meta and how.lookahead == "alternating", how.graph == "retain"
        if meta and not (alternating or retain):
            self._meta_step(batch, draw, alpha)
        self.network.reseed(*batch.key, "forward")
        outputs = self.network(batch.x)
        if meta and retain:
            self._meta_step(batch, draw, alpha, outputs=outputs)
        if observed:
            outputs.logits.retain_grad()
        losses = self.objective(outputs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        if self.schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.theta.values(), self.schedule.clip)
        before = clone(self.theta) if alternating else None
        self.optimizer.step()
        if before is not None:
            # What the optimizer adds (momentum, weight decay) does not depend on phi; Nesterov
            # scales what does.
            scale = 1 + self.schedule.momentum if self.schedule.nesterov else 1.0
            self._meta_step(batch, draw, scale * alpha, before, outputs.detach())
        self._account(outputs, losses.detach(), batch)
        return outputs, batch, self._passes(len(batch.y), meta)

    def _meta_step(
        self,
        batch: Batch,
        draw: Draw,
        alpha: float,
        before: Parameters | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        clean = self.clean_batch(draw)
        self.sums["meta_norm"] += self.meta.step(batch, clean, alpha, before, outputs)
        self.sums["meta_steps"] += 1

    def _account(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        with torch.no_grad():
            self.objective.after_step(outputs.detach(), losses, batch)
        self.sums["loss"] += losses.sum()
        self.sums["examples"] += len(losses)

    def _passes(self, size: int, meta: bool) -> int:
        how = self.phase.meta
        clean = min(how.batch_size, len(self.task.meta))
        extra = meta_passes(how, self.objective.per_batch, size, clean) if meta else 0
        return 3 * size + extra

    def _set_learning_rate(self, number: int) -> float:
        rate = learning_rate(self.schedule, number, self.steps, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def batch(self, draw: Draw, epoch: int, step: int) -> Batch:
        """The training batch of a step: augmented, normalised, on the device."""
        x, y = self._examples(self.pool, draw.rows, draw.places)
        return Batch(
            x=x,
            y=y,
            index=self.pool.index[draw.rows],
            trusted=self.pool.trusted[draw.rows],
            key=(*self.key, epoch, step),
            progress=(epoch * self.steps_per_epoch + step) / self.steps,
        )

    def clean_batch(self, draw: Draw) -> Clean:
        """The clean batch of a step, likewise."""
        assert draw.clean_rows is not None
        return self._examples(self.task.meta, draw.clean_rows, draw.clean_places)

    def _examples(self, split: Split, rows: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        x = split.x[rows]
        if places is not None:
            x = crop_flip(x, places)
        return self.task.normalise(x), self.one_hot[split.y[rows]]

    def check_engine(self, model: torch.nn.Module, examples: int = 8) -> None:
        """Where this phase meta-learns: does its engine differentiate `model`, one like its own?

        Raises:
            UserError: it does not.
        """
        if self.meta.active:
            meta, few = self.task.meta, slice(examples)
            clean = self.task.normalise(meta.x[few]), self.one_hot[meta.y[few]]
            self.meta.check(model, self.task.normalise(self.pool.x[few]), clean)
