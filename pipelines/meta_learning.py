"""The meta step of a training step: hypergradient of the clean loss, then a move of the
meta-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.objective import Batch, Objective, Outputs, cross_entropy, generator
from pipelines.arms import Meta
from pipelines.data import Task
from pipelines.hypergradient import (
    Parameters,
    Problem,
    check_engine,
    hypergradient,
    same_random_state,
)
from pipelines.network import Network

CHECK_EXAMPLES = 8
Inputs = Callable[..., Tensor]


class MetaLearner:
    """Moves the meta-parameters of one phase's objective.

    inputs(x, *key): stored examples, augmented under that key and normalised.
    """

    def __init__(
        self, objective: Objective, network: Network, task: Task, meta: Meta, inputs: Inputs
    ) -> None:
        self.objective, self.network, self.task, self.meta = objective, network, task, meta
        self.inputs = inputs
        self.classes = len(task.classes)
        self.size = min(meta.batch_size, len(task.meta))
        parameters = [] if objective.per_batch else list(objective.meta_parameters())
        self.active = objective.per_batch or bool(parameters)
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[meta.optimizer]
        self.optimizer = (
            kind(parameters, lr=meta.lr, weight_decay=meta.weight_decay) if parameters else None
        )

    def step(
        self, batch: Batch, theta: Parameters, alpha: float, ahead: Parameters | None
    ) -> tuple[Tensor, int]:
        """One meta step at theta; the norm of the hypergradient, and the example passes it took."""
        with same_random_state(self.network.device):
            phi = list(self.objective.meta_parameters())
            grads = hypergradient(self._problem(batch), theta, phi, alpha, self.meta.engine, ahead)
        self.objective.meta_step(grads, self.optimizer)
        norm = torch.stack([g.detach().square().sum() for g in grads]).sum().sqrt()
        return norm, self._passes(len(batch.y), taken=ahead is not None)

    def _problem(self, batch: Batch) -> Problem:
        clean_x, clean_y = self._clean_batch(batch)

        def outputs(theta: Parameters) -> tuple[Tensor, ...]:
            # The same key as the training forward, so that dropout masks agree.
            self.network.reseed(*batch.key, "forward")
            return tuple(t for t in self.network.at(theta, batch.x) if t is not None)

        def losses(found: tuple[Tensor, ...]) -> Tensor:
            return self.objective(Outputs(*found), batch)

        def clean(theta: Parameters) -> Tensor:
            self.network.reseed(*batch.key, "clean")
            return cross_entropy(self.network.at(theta, clean_x).logits, clean_y).mean()

        return Problem(outputs, losses, clean, moves=not self.objective.per_batch)

    def _clean_batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        meta = self.task.meta
        rows = torch.randperm(len(meta), generator=generator(*batch.key, "meta"))[: self.size]
        rows = rows.to(self.network.device)
        x = self.inputs(meta.x[rows], *batch.key, "augment meta")
        return x, F.one_hot(meta.y[rows], self.classes).float()

    def _passes(self, batch: int, taken: bool) -> int:
        """Example passes of a meta step: a forward counts 1, a backward 2, a forward in forward
        mode 3."""
        look_ahead = 0 if taken or self.objective.per_batch else 3 * batch
        tangent = {"forward": 3, "finite_difference": 3, "double_backward": 6}[self.meta.engine]
        return look_ahead + 3 * self.size + tangent * batch

    def check(self, model: nn.Module, x: Tensor) -> None:
        """Does the engine differentiate this model rightly? In float64, on a few stored examples x.

        Raises:
            UserError: it does not.
        """
        if self.meta.engine == "double_backward":
            return
        network = Network(model.double())
        x = self.task.normalise(x[:CHECK_EXAMPLES]).double()
        meta = self.task.meta
        clean_x = self.task.normalise(meta.x[:CHECK_EXAMPLES]).double()
        clean_y = F.one_hot(meta.y[:CHECK_EXAMPLES], self.classes).double()

        def outputs(theta: Parameters) -> tuple[Tensor, ...]:
            network.reseed("check")
            return (network.at(theta, x).logits,)

        def clean(theta: Parameters) -> Tensor:
            network.reseed("check")
            return cross_entropy(network.at(theta, clean_x).logits, clean_y).mean()

        problem = Problem(outputs, lambda z: z[0].sum(dim=1), clean)
        check_engine(problem, network.parameters(), self.meta.engine)

    def state_dict(self) -> dict[str, Any] | None:
        """The meta optimizer's state; the meta-parameters are the objective's own."""
        return self.optimizer.state_dict() if self.optimizer else None

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Stand where the state was taken."""
        if self.optimizer is not None:
            assert state is not None
            self.optimizer.load_state_dict(state)
