"""The step of the model's parameters, and what a look-ahead is that goes like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from methods.objective import Objective
from pipelines.errors import UserError
from pipelines.hypergradient.engines import Step
from pipelines.hypergradient.rule_check import check_rule
from pipelines.hypergradient.update_rules import Parameters, Taken, UpdateRule, linearised
from pipelines.models.heads import rate_factors
from pipelines.models.network import Network
from pipelines.study.phases import IMPLICIT, Meta
from pipelines.study.protocol import Schedule
from pipelines.training.adaptive_rate import AdaptiveRate
from pipelines.training.optimizer import build_optimizer, decays
from pipelines.training.snapshot import clone, load_optimizer


class Descent:
    """Moves the parameters of the model, and those that the method trains, which are not decayed.

    fused: all of them in one kernel.
    """

    def __init__(
        self, schedule: Schedule, network: Network, objective: Objective, fused: bool
    ) -> None:
        self.schedule, self.theta = schedule, network.parameters()
        #: By name, what the rate of a parameter is multiplied by, where that is not 1.
        self.factors = {n: f for n, f in rate_factors(network.model).items() if n in self.theta}
        groups, self._factor_of_group = self._groups()
        if own := [*objective.train_parameters()]:
            groups.append({"params": own, "weight_decay": 0.0})
            self._factor_of_group.append(1.0)
        self.optimizer = build_optimizer(schedule, groups, fused)
        self._plain = torch.optim.SGD([*self.theta.values()], lr=1.0)  # of look-aheads; not stepped
        adapts = schedule.decay == "hypergradient"
        if adapts and self.factors:
            raise UserError(
                "schedule.decay = 'hypergradient' learns one rate for all layers: "
                "model.options.layer_decay must be 1"
            )
        self.adaptive = AdaptiveRate(schedule, [*self.theta.values()]) if adapts else None

    def _groups(self) -> tuple[list[dict[str, Any]], list[float]]:
        """The parameters in groups of one rate and decay, and what each rate is multiplied by."""
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, parameter in self.theta.items():
            key = self.factors.get(name, 1.0), decays(self.schedule, parameter)
            groups.setdefault(key, []).append(parameter)
        undecayed = {"weight_decay": 0.0}
        return [
            {"params": parameters} | ({} if decayed else undecayed)
            for (_, decayed), parameters in groups.items()
        ], [factor for factor, _ in groups]

    def step(
        self, loss: Tensor, rate: Tensor, kept: Step | None = None, inputs: Sequence[Tensor] = ()
    ) -> tuple[Parameters, Taken] | None:
        """One step along the loss's gradient.

        kept: the step as `real_step` has it: then the parameters before it are given back, and how
        it was taken. inputs: what has a gradient from the same backward, too. Gradients of
        parameters are gone afterwards: the meta step needs as much memory.
        """
        moved = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.optimizer.zero_grad(set_to_none=True)  # a method's before_step may have left some
        loss.backward(inputs=[*moved, *inputs])
        # Before anything changes what the rule depends on: gradients, parameters, state.
        rule = kept if isinstance(kept, UpdateRule) else None
        pull_back = linearised(rule, self.theta, self._grads()).pull_back if rule else None
        if self.schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.theta.values(), self.schedule.clip)
        before = None if kept is None else clone(self.theta)
        for group, factor in zip(self.optimizer.param_groups, self._factor_of_group, strict=True):
            now = self.adaptive.before_step() if self.adaptive else rate
            group["lr"] = now if factor == 1 else factor * now
        self.optimizer.step()
        if self.adaptive:
            self.adaptive.after_step(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        return None if before is None else (before, Taken(self.theta, pull_back))

    def look_ahead(self, meta: Meta, rate: Tensor) -> Step:
        """The look-ahead of `rollback`: plain SGD, or the step that the optimizer would take."""
        if meta.step == "own":
            return self._rule(rate)
        factor = meta.lookahead_rate
        if factor == "momentum":  # so far a constant gradient moves the parameters in the end
            factor = 1 / (1 - self.schedule.momentum)
        rate = rate if factor == 1 else factor * rate
        if not self.factors or meta.engine in IMPLICIT:  # these take none, and go by one rate
            return rate
        return UpdateRule(self._plain, self.theta, rate, factors=self.factors)

    def real_step(self, rate: Tensor) -> Step:
        """The look-ahead of `alternating`: the step that the optimizer takes.

        What SGD adds to the gradient (momentum, weight decay) does not depend on phi; Nesterov
        scales what does.
        """
        if self.schedule.optimizer != "sgd" or self.schedule.clip is not None or self.factors:
            return self._rule(rate)
        return (1 + self.schedule.momentum if self.schedule.nesterov else 1.0) * rate

    def rate(self, scheduled: Tensor) -> Tensor:
        """The present learning rate; scheduled: what it is by the schedule."""
        return self.adaptive.rate() if self.adaptive else scheduled

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, and the rate's where it has one."""
        state = self.optimizer.state_dict()
        return state | {"adaptive": self.adaptive.tensors()} if self.adaptive else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where the state was taken."""
        if self.adaptive:
            self.adaptive.load(state["adaptive"])
        load_optimizer(self.optimizer, state)

    def check(self, meta: Meta) -> None:
        """Has the look-ahead a derivative?

        Raises:
            UserError: it has none, or none that can be found.
        """
        if meta.step == "own" or meta.lookahead == "alternating":
            check_rule(self._rule(torch.tensor(self.schedule.lr)))

    def _rule(self, rate: Tensor) -> UpdateRule:
        return UpdateRule(self.optimizer, self.theta, rate, self.schedule.clip, self.factors)

    def _grads(self) -> Parameters:
        """Copies of the gradients; of what the loss does not depend on they are 0."""
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in self.theta.items()
        }
