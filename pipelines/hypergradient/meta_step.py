"""The meta step of a training step: hypergradient of the clean loss, then a move of the
meta-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy
from pipelines.hypergradient.engines import (
    OutputTensors,
    Parameters,
    Problem,
    Rate,
    check_engine,
    check_rules,
    hypergradient,
)
from pipelines.models.network import Network
from pipelines.study.phases import Meta

Clean = tuple[Tensor, Tensor]  # normalised inputs [M, ...], label distributions [M, K]


class MetaLearner:
    """Moves the meta-parameters of one phase's objective.

    fused: move all of them in one kernel.
    """

    def __init__(
        self, objective: Objective, network: Network, meta: Meta, fused: bool = True
    ) -> None:
        self.objective, self.network, self.meta = objective, network, meta
        parameters = [] if objective.fresh_each_step else list(objective.meta_parameters())
        self.active = objective.fresh_each_step or bool(parameters)
        self.theta: Parameters = (
            network.parameters()
            if meta.last_layers is None
            else network.last_parameters(meta.last_layers)
        )
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[meta.optimizer]
        self.optimizer = (
            kind(parameters, lr=meta.lr, weight_decay=meta.weight_decay, fused=fused or None)
            if parameters
            else None
        )

    def step(
        self,
        batch: Batch,
        clean: Clean,
        alpha: Rate,
        before: Parameters | None = None,
        outputs: Outputs | None = None,
    ) -> Tensor:
        """One meta step; the norm of the hypergradient. Arguments as of `gradients`."""
        grads = self.gradients(batch, clean, alpha, before, outputs)
        self.objective.meta_step(grads, self.optimizer)
        if self.optimizer:
            self.optimizer.zero_grad(set_to_none=True)
        return torch.nn.utils.get_total_norm(grads)

    def gradients(
        self,
        batch: Batch,
        clean: Clean,
        alpha: Rate,
        before: Parameters | None = None,
        outputs: Outputs | None = None,
    ) -> list[Tensor]:
        """The hypergradient, one tensor for each of the meta-parameters.

        before: the parameters before the step that the model has just taken (alternating);
        outputs: those of the training batch, where they are known.
        """
        theta, ahead = (self.theta, None) if before is None else (before, self.theta)
        z = None if outputs is None else _tensors(outputs)
        phi = list(self.objective.meta_parameters())
        problem = _problem(
            self.network,
            batch.x,
            clean,
            losses=lambda found: self.objective(Outputs(*found), batch),
            moves=not self.objective.fresh_each_step,
        )
        return hypergradient(problem, theta, phi, alpha, self.meta.engine, ahead, z)

    def check(self, model: nn.Module, x: Tensor, clean: Clean) -> None:
        """Does the engine differentiate this model, on a few normalised examples x and clean ones?
        In the trial's own precision, whose operators may be others; and rightly, in float64.

        Raises:
            UserError: it does not.
        """
        if self.meta.engine == "double_backward":
            return
        for dtype, check in ((torch.float32, check_rules), (torch.float64, check_engine)):
            network = Network(
                model.to(dtype),
                autocast=self.network.autocast and dtype == torch.float32,
                channels_last=self.network.channels_last,
            )
            network.key = ("check",)
            few = clean[0].to(dtype), clean[1].to(dtype)
            problem = _problem(network, x.to(dtype), few, losses=lambda z: z[0].sum(dim=1))
            check(problem, network.parameters(), self.meta.engine)

    def state_dict(self) -> dict[str, Any] | None:
        """The meta optimizer's state; the meta-parameters are the objective's own."""
        return self.optimizer.state_dict() if self.optimizer else None

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Stand where the state was taken."""
        if self.optimizer is not None:
            assert state is not None
            self.optimizer.load_state_dict(state)


def _problem(
    network: Network,
    x: Tensor,
    clean: Clean,
    losses: Callable[[OutputTensors], Tensor],
    moves: bool = True,
) -> Problem:
    """The bilevel problem of one step, under the network's key of that step."""

    def outputs(theta: Parameters) -> OutputTensors:
        network.reseed("forward")  # as the training forward does, so that dropout masks agree
        return _tensors(network.forward_with(theta, x))

    def clean_loss(theta: Parameters) -> Tensor:
        network.reseed("clean")
        return cross_entropy(network.forward_with(theta, clean[0]).logits, clean[1]).mean()

    return Problem(outputs, losses, clean_loss, moves)


def _tensors(outputs: Outputs) -> OutputTensors:
    return tuple(t for t in outputs if t is not None)
