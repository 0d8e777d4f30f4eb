"""The optimizer of a phase, as its schedule says."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Schedule

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]  # or groups of them, as PyTorch has it


def decays(schedule: Schedule, parameter: Tensor) -> bool:
    """Whether a parameter has the schedule's weight decay: it may be a matrix's or a filter's only.

    What has one dimension is a bias, or a norm's factor or shift.
    """
    return schedule.no_decay == "none" or parameter.dim() > 1


def build_optimizer(
    schedule: Schedule, parameters: Parameters, fused: bool = True
) -> torch.optim.Optimizer:
    """What moves these parameters.

    fused: all of them in one kernel, where PyTorch has one.

    Raises:
        UserError: the schedule names a class that there is not, or one that it does not fit.
    """
    kernel = fused or None  # None: what PyTorch takes by itself
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=schedule.lr,
            momentum=schedule.momentum,
            nesterov=schedule.nesterov,
            weight_decay=schedule.weight_decay,
            fused=kernel,
        )
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=schedule.lr,
            betas=(schedule.betas[0], schedule.betas[1]),
            eps=schedule.eps,
            weight_decay=schedule.weight_decay,
            fused=kernel,
        )
    return _own(schedule, parameters)


def _own(schedule: Schedule, parameters: Parameters) -> torch.optim.Optimizer:
    """A class by name: it is given lr and, if it takes one, the schedule's weight decay."""
    name = schedule.optimizer
    kind = own_modules.load(name, "schedule.optimizer")
    if not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)):
        raise UserError(f"schedule.optimizer = {name!r} is not a subclass of torch.optim.Optimizer")
    options: dict[str, Any] = {"lr": schedule.lr}
    if "weight_decay" in inspect.signature(kind).parameters:
        options["weight_decay"] = schedule.weight_decay
    elif schedule.weight_decay:
        raise UserError(
            f"schedule.weight_decay = {schedule.weight_decay}: must be 0, since {name} takes none"
        )
    try:
        return kind(parameters, **options | schedule.optimizer_options)
    except Exception as error:
        raise UserError(
            f"schedule.optimizer = {name!r} cannot be made: {one_line(error)}"
        ) from None
