"""Other libraries' way to the same hypergradient, in place of this project's; optional."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from pipelines.hypergradient.engines import Step
from pipelines.hypergradient.meta_step import Clean, MetaLearner
from pipelines.hypergradient.update_rules import Parameters, Taken, UpdateRule


class Higher(MetaLearner):
    """`higher` (Grefenstette et al. 2019): the look-ahead of a copy stays in the graph."""

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
        """The hypergradient, one tensor for each of the meta-parameters."""
        import higher  # pyright: ignore[reportMissingImports]

        model = self.network.model
        phi = list(self.objective.meta_parameters())
        inner = torch.optim.SGD(model.parameters(), lr=_rate(step))
        with higher.innerloop_ctx(model, inner) as (copy, optimizer):
            optimizer.step(self.objective(Outputs(copy(batch.x)), batch).mean())
            loss = cross_entropy(copy(clean[0]), clean[1]).mean()
            return list(torch.autograd.grad(loss, phi))


class TorchOpt(MetaLearner):
    """`torchopt` (Ren et al. 2023): a differentiable SGD step, undone afterwards."""

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
        """The hypergradient, one tensor for each of the meta-parameters."""
        import torchopt  # pyright: ignore[reportMissingImports]

        model = self.network.model
        phi = list(self.objective.meta_parameters())
        state = torchopt.extract_state_dict(model, by="reference", detach_buffers=True)
        optimizer = torchopt.MetaSGD(model, lr=_rate(step))
        optimizer.step(self.objective(Outputs(model(batch.x)), batch).mean())
        loss = cross_entropy(model(clean[0]), clean[1]).mean()
        grads = torch.autograd.grad(loss, phi)
        torchopt.recover_state_dict(model, state)
        return list(grads)


def _rate(step: Step) -> float:
    if isinstance(step, UpdateRule):
        raise ValueError("peers are compared at a look-ahead of plain SGD")
    return float(step)


PEERS: dict[str, type[MetaLearner]] = {"higher": Higher, "torchopt": TorchOpt}


@cache
def installed(name: str) -> bool:
    """Whether that library, and what it needs, is there."""
    try:
        import_module(name)
    except ImportError:
        return False
    return True
