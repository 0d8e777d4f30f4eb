"""The training steps of one phase: a method on a pool of examples, with its way to meta-learn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from methods.objective import Batch, Key, Objective, Outputs
from pipelines.data.stored import expect
from pipelines.data.task import Task
from pipelines.errors import UserError
from pipelines.hypergradient.engines import Step, with_penalty
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.hypergradient.update_rules import Parameters, Taken
from pipelines.models.network import Network
from pipelines.study.phase_rules import check_under, epoch_size, phase_length, phase_schedule
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.training.augmentation import Augmentation
from pipelines.training.batches import Batches
from pipelines.training.clean_examples import CleanExamples
from pipelines.training.cuda_graph import CapturedSteps, State, StepOutput
from pipelines.training.descent import Descent
from pipelines.training.epoch_choices import EpochChoices
from pipelines.training.fast_paths import FastPaths
from pipelines.training.mixing import with_rows
from pipelines.training.passes import meta_passes
from pipelines.training.phase_start import predictor
from pipelines.training.recorder import recorder_for
from pipelines.training.schedule import learning_rate
from pipelines.training.step_inputs import StepInputs, epoch_inputs, replayed
from pipelines.training.weight_average import WeightAverage


class PhaseTraining:
    """Model, objective and optimizers of a phase, and the one training step that all arms share.

    Nothing here waits for the device: sums stay on it until the end of the epoch.
    key: run seed and number of the phase.
    """

    def __init__(
        self,
        protocol: Protocol,
        phase: Phase,
        task: Task,
        model: torch.nn.Module,
        objective: Objective,
        key: tuple[int, int],
        fast: FastPaths,
    ) -> None:
        self.phase, self.task, self.objective, self.key = phase, task, objective, key
        check_under(phase, protocol)  # of this very configuration
        self.schedule = phase_schedule(phase, protocol)
        self.pool = task.pool(phase.pool, phase.meta_repeat)
        self.epoch_size = epoch_size(phase, task.sizes)
        self.length = phase_length(phase, protocol, task.sizes)
        features, autocast = objective.needs_features, protocol.precision == "bfloat16"
        self.network = Network(model, features, autocast, fast.channels_last, spread=True)
        self.average = WeightAverage(model, phase.ema) if phase.ema else None
        #: Inside, the model has the weights that it is judged by.
        self.as_evaluated = self.average.in_place if self.average else nullcontext
        self.predict = predictor(self.network, task, phase.pool, phase.method, self.as_evaluated)
        self.clean = CleanExamples(phase.meta, task)
        self.device = self.network.device
        augmentation = Augmentation(protocol.augment, task.input_shape, fast.gather)
        self.batches = Batches(task, self.pool, self.clean, augmentation, phase.method)
        self.theta = self.network.parameters()
        if not self.theta:
            raise UserError(
                f"model {protocol.model.name!r}: none of its parameters requires a gradient, so "
                "that nothing would be trained"
            )
        self.descent = Descent(self.schedule, self.network, objective, fast.fused)
        self.optimizer = self.descent.optimizer
        self.meta = MetaLearner(objective, self.network, phase.meta, fast.fused)
        self.choices = EpochChoices(
            objective, self.predict, self.clean if self.meta.active else None
        )
        names = ("loss", "examples", "meta_norm", "meta_steps")
        self.sums = {name: torch.zeros((), device=self.device) for name in names}
        replays = fast.cuda_graph and augmentation.on_device and not self.network.spread
        recorder = recorder_for(self.device) if replays else None
        self.captured_steps = CapturedSteps(recorder, protocol.precision) if recorder else None

    def epoch_inputs(self, epoch: int) -> list[StepInputs]:
        """The random choices of an epoch's batches; what is chosen before it has been."""
        available = self.clean.number
        take = min(self.phase.meta.batch_size, available) if self.meta.active else 0
        key, clean = (*self.key, epoch), (take, available)
        seed, number = self.key
        steps, again = self.length.per_epoch, self.objective.replays
        key_of_order = (seed, "order", number, epoch // again)
        order = self.choices.order(key_of_order, self.pool.index, self.epoch_size)
        order = replayed(order, steps, epoch, again)
        numbers = range(epoch * steps, (epoch + 1) * steps)
        rates = [(self._scheduled(n), n / self.length.steps) for n in numbers]
        if self.captured_steps:
            self.captured_steps.begin_epoch(self)
        horizon = self.phase.meta.horizon if self.meta.active else 1
        crops = self.batches.augmentation.crops
        inputs = epoch_inputs(order, steps, key, crops, clean, rates, self.device, horizon)
        inputs = inputs[: self.length.within(epoch)]
        expect(self.pool.x, [step_inputs.rows for step_inputs in inputs])
        return inputs

    def rate(self, number: int) -> float:
        """The learning rate of a step of this phase; where it adapts itself, the present one."""
        adaptive = self.descent.adaptive
        return float(adaptive.value) if adaptive else self._scheduled(number)

    def _scheduled(self, number: int) -> float:
        return learning_rate(self.schedule, number, *self.length)

    def step(self, step_inputs: StepInputs, epoch: int, step: int) -> tuple[StepOutput, int]:
        """One training step with its meta step; what it leaves, and the example passes it took."""
        number = epoch * self.length.per_epoch + step
        meta = self.meta.active and number % self.phase.meta.every == 0
        key = self.network.step_key = (*self.key, epoch, step)
        if self.captured_steps:
            step_output = self.captured_steps(self, step_inputs, key, meta)
        else:
            step_output = self.run_step(step_inputs, key, meta)
        return step_output, self._passes(len(step_inputs.rows), meta)

    def run_step(self, step_inputs: StepInputs, key: Key, meta: bool) -> StepOutput:
        """The part of a step that runs on the device.

        step_inputs: all that changes from step to step; key: for methods that draw for themselves;
        meta: with a meta step. Names are those of the papers: theta the model's parameters, phi the
        meta-parameters, alpha the learning rate.
        """
        # 1. The batch, with whatever the method puts in its place (weights at zero, mixed inputs).
        batch = self.objective.before_step(
            self.batches.training(step_inputs, key), self.network.without_buffer_updates
        )
        alternating = meta and self.phase.meta.lookahead == "alternating"
        retain = self.phase.meta.graph == "retain"
        # 2. Look-ahead theta' = theta - alpha dL/dtheta(theta, phi), or the optimizer's own step;
        #    hypergradient d clean(theta') / d phi, and phi's own step (Meta-Weight-Net's equations
        #    3 and 4). The model stays at theta.
        rate = self.descent.rate(step_inputs.rate)
        if meta and not (alternating or retain):
            later = self._later_batches(step_inputs, key)
            step = self.descent.look_ahead(self.phase.meta, rate)
            self._meta_step(batch, step_inputs, step, later=later)
        # 3. The training forward, from the same random state as the look-ahead's, so that dropout
        #    masks agree. Where its graph is retained, the look-ahead of 2. goes through it.
        self.network.reseed("forward")
        outputs = self.network(batch.x)
        if meta and retain:
            step = self.descent.look_ahead(self.phase.meta, rate)
            self._meta_step(batch, step_inputs, step, outputs=outputs)
        # 4. The real step, at the new phi (equation 5 of Meta-Weight-Net).
        for each in outputs.each():
            each.logits.retain_grad()
        losses = self.objective(outputs, batch)
        real = self.descent.real_step(rate) if alternating else None
        loss = with_penalty(losses.mean(), self.objective.penalty(self.theta))
        asked = batch.x.is_leaf and batch.x.requires_grad
        kept = self.descent.step(loss, rate, real, [batch.x] if asked else [])
        logit_grads = [grad for o in outputs.each() if (grad := o.logits.grad) is not None]
        outputs, losses = outputs.detach(), losses.detach()
        # 5. Alternating: the real step was the look-ahead, and phi moves for the next one.
        if real is not None and kept is not None:
            self._meta_step(batch, step_inputs, real, *kept, outputs)
        # 6. Memory of the method, the average of the weights, and the sums of the epoch.
        self._account(outputs, losses, batch)
        return StepOutput([each.logits for each in outputs.each()], logit_grads, with_rows(batch))

    def _meta_step(
        self,
        batch: Batch,
        step_inputs: StepInputs,
        step: Step,
        before: Parameters | None = None,
        taken: Taken | None = None,
        outputs: Outputs | None = None,
        later: Sequence[Batch] = (),
    ) -> None:
        clean = self.batches.clean_loss(step_inputs, self.network.step_key)
        self.meta.decay(self.descent.rate(step_inputs.rate) / self.schedule.lr)
        self.sums["meta_norm"] += self.meta.step(batch, clean, step, before, taken, outputs, later)
        self.sums["meta_steps"] += 1

    def _account(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        with torch.no_grad():
            self.objective.after_step(outputs, losses, batch)
        if self.average:
            self.average.after_step()
        self.sums["loss"] += losses.sum()
        self.sums["examples"] += len(losses)

    def _passes(self, size: int, meta: bool) -> int:
        how = self.phase.meta
        clean = min(how.batch_size, self.clean.number)
        extra = meta_passes(how, self.objective, size, clean) if meta else 0
        return self.objective.networks * ((3 + self.objective.extra_passes) * size + extra)

    def state_dict(self) -> dict[str, Any]:
        """All of its state but model and objective."""
        return {
            "optimizer": self.descent.state_dict(),
            "meta_optimizer": self.meta.state_dict(),
            "sums": self.sums,
            "choices": self.choices.state_dict(),
            "average": self.average.state_dict() if self.average else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the state was taken. Snapshots of 0.1.0 have neither choices nor average."""
        self.descent.load_state_dict(state["optimizer"])
        self.meta.load_state_dict(state["meta_optimizer"])
        self.sums = state["sums"]
        if "choices" in state:
            self.choices.load_state_dict(state["choices"])
        if self.average:
            self.average.load_state_dict(state["average"])

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Those that a step moves."""
        return [optimizer for optimizer in (self.optimizer, self.meta.optimizer) if optimizer]

    def modules(self) -> list[torch.nn.Module]:
        """Those that a step calls."""
        return [self.objective, self.network.model]

    def state(self) -> State:
        """The tensors that a step changes in place, by their owners."""
        tensors = {
            "model": [*self.network.model.parameters(), *self.network.model.buffers()],
            "objective": [*self.objective.parameters(), *self.objective.buffers()],
            "sums": list(self.sums.values()),
        }
        if self.descent.adaptive:
            tensors["rate"] = self.descent.adaptive.tensors()
        if self.average:
            tensors["average"] = self.average.tensors()
        for number, optimizer in enumerate(self.optimizers()):
            values = [value for state in optimizer.state.values() for value in state.values()]
            tensors[f"optimizer {number}"] = [v for v in values if isinstance(v, Tensor)]
        return tensors

    def _later_batches(self, step_inputs: StepInputs, key: Key) -> list[Batch]:
        model = self.network.without_buffer_updates
        later = self.batches.later(step_inputs, key)
        return [self.objective.before_step(batch, model) for batch in later]

    def check_engine(self, model: torch.nn.Module, examples: int = 8) -> None:
        """Where this phase meta-learns: does its engine differentiate `model`, one like its own?

        Raises:
            UserError: it does not.
        """
        if self.meta.active:
            self.descent.check(self.phase.meta)
            self.meta.check(model, self.task.normalise(self.pool.x[:examples]))
