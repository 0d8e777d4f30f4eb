"""The meta step: hypergradient of the clean loss, then a move of the meta-parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy, expectation
from pipelines.errors import UserError
from pipelines.hypergradient.engines import (
    OutputTensors,
    Problem,
    Step,
    hypergradient,
)
from pipelines.hypergradient.forward_accumulation import forward_accumulation
from pipelines.hypergradient.horizon import hypergradient_over
from pipelines.hypergradient.implicit import implicit_hypergradient
from pipelines.hypergradient.model_calls import ModelCalls, off_kinks, reverse_mode
from pipelines.hypergradient.self_check import check_exactness, check_rules
from pipelines.hypergradient.update_rules import Parameters, Taken, UpdateRule
from pipelines.models.network import Network, tensors_of
from pipelines.study.phase_rules import check_few
from pipelines.study.phases import IMPLICIT, Meta

Clean = tuple[Tensor, Tensor]  # normalised inputs [M, ...], label distributions [M, K]


def mean_absolute_error(logits: Tensor, target: Tensor) -> Tensor:
    """sum_k y_k |e_k - p|_1 = 2 (1 - <y, p>) of logits [B, K], label distribution [B, K]: [B].

    Ghosh, Kumar & Sastry 2017: with symmetric noise its minimum is that of the true labels.
    """
    return 2 * (1 - expectation(target, logits.softmax(dim=1)))


CLEAN_LOSSES = {"cross_entropy": cross_entropy, "mae": mean_absolute_error}


class MetaLearner:
    """Moves the meta-parameters of one phase's objective.

    fused: move all of them in one kernel.
    """

    def __init__(
        self, objective: Objective, network: Network, meta: Meta, fused: bool = True
    ) -> None:
        self.objective, self.network, self.meta = objective, network, meta
        check_few(meta, objective)
        parameters = [] if objective.fresh_each_step else list(objective.meta_parameters())
        self.active = objective.meta_learns
        self.theta = _look_ahead_parameters(network, meta)
        self.optimizer = _meta_optimizer(meta, parameters, fused) if parameters else None

    def decay(self, share: Tensor) -> None:
        """Set the meta optimizer's learning rate for the next step.

        share: of the model's learning rate that is left, a scalar.
        """
        if self.optimizer is not None and self.meta.decay == "schedule":
            for group in self.optimizer.param_groups:
                group["lr"] = self.meta.lr * share

    def step(
        self,
        batch: Batch,
        clean: Clean,
        step: Step,
        before: Parameters | None = None,
        taken: Taken | None = None,
        outputs: Outputs | None = None,
        later: Sequence[Batch] = (),
    ) -> Tensor:
        """One meta step; the norm of the hypergradient. Arguments as of `gradients`."""
        grads = self.gradients(batch, clean, step, before, taken, outputs, later)
        self.objective.meta_step(grads, self.optimizer)
        if self.optimizer:
            self.optimizer.zero_grad(set_to_none=True)
        return torch.nn.utils.get_total_norm(grads)

    def gradients(
        self,
        batch: Batch,
        clean: Clean,
        step: Step,
        before: Parameters | None = None,
        taken: Taken | None = None,
        outputs: Outputs | None = None,
        later: Sequence[Batch] = (),
    ) -> list[Tensor]:
        """The hypergradient, one tensor for each of the meta-parameters.

        step: of the look-ahead, its rate or its rule; before, taken: the parameters before the step
        that the model has just taken, and that step (alternating); outputs: those of the training
        batch, where they are known; later: batches of the look-ahead's further steps.
        """
        theta = self.theta if before is None else before
        z = None if outputs is None else tensors_of(outputs)
        phi = list(self.objective.meta_parameters())
        problem, engine = self._problem(batch, clean), self.meta.engine
        if engine in IMPLICIT:
            assert not isinstance(step, UpdateRule)
            terms, damping = self.meta.terms, self.meta.damping
            return implicit_hypergradient(problem, theta, phi, step, engine, terms, damping)
        further = [self._problem(b, clean, f" {n}") for n, b in enumerate(later, 1)]
        if engine == "forward_accumulation":
            return forward_accumulation([problem, *further], theta, phi, step)
        if further:
            return hypergradient_over([problem, *further], theta, phi, step, engine)
        return hypergradient(problem, theta, phi, step, engine, taken, z)

    def _problem(self, batch: Batch, clean: Clean, place: str = "") -> Problem:
        """The bilevel problem of a batch; place: of its step in a look-ahead of several."""
        constants = {name: p.detach() for name, p in self.network.parameters().items()}
        return _problem(
            self.network,
            batch.x,
            clean,
            losses=lambda outputs: self.objective(self.network.outputs_of(outputs), batch),
            moves=not self.objective.fresh_each_step,
            penalty=lambda theta: self.objective.penalty(constants | dict(theta)),
            purpose=f"forward{place}",
            loss=CLEAN_LOSSES[self.meta.loss],
        )

    def check(self, model: nn.Module, x: Tensor) -> None:
        """Does the engine differentiate this model, on a few normalised examples x [B, ...]?

        In the trial's own precision it must have a rule for every operator, which may be others
        than in float64; there it must be right. A model of which a part insists on float32 is
        judged in that. `model` is used up: its precision and its buffers change.

        Raises:
            UserError: it does not.
        """
        check_rules(self._calls(model, x, torch.float32, self.network.autocast), self.meta)
        off_kinks(model)
        calls = self._calls(model, x, torch.float64)
        try:
            reverse = reverse_mode(calls)
        except UserError:
            raise
        except Exception:  # a part of it does not follow to float64
            calls = self._calls(model, x, torch.float32)
            reverse = reverse_mode(calls)
        check_exactness(calls, reverse, self.meta)

    def _calls(
        self, model: nn.Module, x: Tensor, dtype: torch.dtype, autocast: bool = False
    ) -> ModelCalls:
        model = model.double() if dtype == torch.float64 else model.float()
        network = Network(model, autocast=autocast, channels_last=self.network.channels_last)
        network.step_key = ("check",)
        x = x.to(dtype)

        def forward() -> OutputTensors:
            network.reseed("forward")
            return tensors_of(network(x))

        def forward_with(theta: Parameters) -> OutputTensors:
            network.reseed("forward")
            return tensors_of(network.forward_with(theta, x))

        return ModelCalls(forward, forward_with, _look_ahead_parameters(network, self.meta))

    def state_dict(self) -> dict[str, Any] | None:
        """The meta optimizer's state; the meta-parameters are the objective's own."""
        return self.optimizer.state_dict() if self.optimizer else None

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Stand where the state was taken."""
        if self.optimizer is not None:
            assert state is not None
            self.optimizer.load_state_dict(state)


def _meta_optimizer(meta: Meta, parameters: list[Tensor], fused: bool) -> torch.optim.Optimizer:
    kernel = fused or None
    if meta.optimizer == "adam":
        return torch.optim.Adam(
            parameters,
            lr=meta.lr,
            weight_decay=meta.weight_decay,
            amsgrad=meta.amsgrad,
            fused=kernel,
        )
    return torch.optim.SGD(
        parameters,
        lr=meta.lr,
        momentum=meta.momentum,
        nesterov=meta.nesterov,
        weight_decay=meta.weight_decay,
        fused=kernel,
    )


def _problem(
    network: Network,
    x: Tensor,
    clean: Clean,
    losses: Callable[[OutputTensors], Tensor],
    moves: bool,
    penalty: Callable[[Parameters], Tensor | None],
    purpose: str,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Problem:
    """The bilevel problem of one step, under the network's key of that step."""

    def outputs(theta: Parameters) -> OutputTensors:
        network.reseed(purpose)  # as the training forward does, so that dropout masks agree
        return tensors_of(network.forward_with(theta, x))

    def clean_loss(theta: Parameters) -> Tensor:
        network.reseed("clean")
        outputs = network.forward_with(theta, clean[0]).each()
        return torch.stack([loss(o.logits, clean[1]).mean() for o in outputs]).mean()

    return Problem(outputs, losses, clean_loss, moves, penalty)


def _look_ahead_parameters(network: Network, meta: Meta) -> Parameters:
    """theta: what the look-ahead moves."""
    if meta.last_layers is None:
        return network.parameters()
    return network.last_parameters(meta.last_layers)
