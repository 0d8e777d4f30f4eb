"""Has an optimizer's step a derivative, and does autograd find it? Asked before the first step.

Of `torch.optim.SGD` and `AdamW` it is known (`update_rules`). Any other optimizer is asked on the
model's own parameters, in float64, after a few steps along random gradients.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from methods.objective import generator
from pipelines.errors import UserError, one_line
from pipelines.hypergradient.update_rules import KNOWN, UpdateRule, copy_on

STEPS = 3  # until every part of its state is there
RADIUS = 1e-6
TOLERANCE = 1e-3  # of a finite difference in float64, far above its own error
WAY_OUT = "use lookahead: rollback with step: plain, or another optimizer"


def check_rule(rule: UpdateRule) -> None:
    """Is the rule's step the optimizer's, and its derivative right?

    Raises:
        UserError: it is not, or it is zero; with the way out.
    """
    if type(rule.optimizer) in KNOWN:
        return
    name = type(rule.optimizer).__name__
    gen = generator("update rule")
    rule = _after_a_few_steps(rule, gen)
    grads = {n: _draw(p, gen).requires_grad_() for n, p in rule.parameters.items()}
    theta = {n: p.detach() for n, p in rule.parameters.items()}
    ahead, _ = rule.step(theta, grads, rule.state())
    weights = [_draw(p, gen) for p in rule.parameters.values()]
    if not any(p.requires_grad for p in ahead.values()):
        raise UserError(
            f"schedule.optimizer: the step of {name} cannot be differentiated: it leaves no graph "
            f"(it may work on .data, or under no_grad); {WAY_OUT}"
        )
    slopes = torch.autograd.grad(_inner(ahead, weights), [*grads.values()], materialize_grads=True)
    if not any(bool(s.any()) for s in slopes):
        raise UserError(
            f"schedule.optimizer: the step of {name} has no derivative but zero in the gradient "
            f"(it may go by its sign); {WAY_OUT}"
        )
    if not _agrees(rule, grads, weights, slopes, gen):
        raise UserError(
            f"schedule.optimizer: the derivative of the step of {name} is not what autograd finds; "
            f"{WAY_OUT}"
        )


def _after_a_few_steps(rule: UpdateRule, gen: torch.Generator) -> UpdateRule:
    """The same rule on copies in float64, and with a state."""
    theta = {n: torch.nn.Parameter(p.detach().double()) for n, p in rule.parameters.items()}
    rates = dict.fromkeys(theta, 0.01)
    nothing = {n: {} for n in theta}
    optimizer = copy_on(rule.optimizer, rule.options(), rates, theta, nothing, differentiable=False)
    try:
        for _ in range(STEPS):
            for p in theta.values():
                p.grad = _draw(p, gen)
            optimizer.step()
    except Exception as error:
        raise UserError(
            f"schedule.optimizer: {type(optimizer).__name__} cannot take a step: {one_line(error)}"
        ) from None
    return replace(rule, optimizer=optimizer, parameters=theta, rate=0.01, clip=None, factors={})


def _agrees(
    rule: UpdateRule,
    grads: dict[str, Tensor],
    weights: list[Tensor],
    slopes: tuple[Tensor, ...],
    gen: torch.Generator,
) -> bool:
    """< w, (dU/dg) d > by autograd, and as a difference of steps along a random d."""
    direction = {n: _draw(g, gen) for n, g in grads.items()}

    def along(size: float) -> float:
        moved = {n: g.detach() + size * direction[n] for n, g in grads.items()}
        return float(_inner(rule.step(rule.parameters, moved, rule.state())[0], weights).detach())

    expected = (along(RADIUS) - along(-RADIUS)) / (2 * RADIUS)
    found = float(sum((s * d).sum() for s, d in zip(slopes, direction.values(), strict=True)))
    return abs(found - expected) <= TOLERANCE * max(abs(found), abs(expected))


def _draw(like: Tensor, gen: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=gen, dtype=torch.double).to(like.device)


def _inner(ahead: dict[str, Tensor], weights: list[Tensor]) -> Tensor:
    parts = [(p * w).sum() for p, w in zip(ahead.values(), weights, strict=True)]
    return torch.stack(parts).sum()
