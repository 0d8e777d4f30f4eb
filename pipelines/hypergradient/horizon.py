"""The hypergradient through several look-ahead steps, in reverse over the stored ones.

    theta_(j+1), s_(j+1) = U(theta_j, dL_j/dtheta; s_j),    j = 0 ... k - 1

From p = d clean / d theta_k backwards, with v the pull-back of (p, d clean / d s) to the gradient:

    d clean / d phi = sum_j d/dphi < dL_j/dtheta (theta_j; phi), v_j >
    p_j = (dU/dtheta)^T p_(j+1) + d^2 L_j/dtheta^2 v_j

Franceschi et al., "Forward and reverse gradient-based hyperparameter optimization", ICML 2017. The
first step needs no second derivative of the network: it is the engine's, as with one step alone.
The later ones take theirs by double backward. Memory: parameters, gradients and the optimizer's
state of k steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipelines.hypergradient.engines import (
    OutputTensors,
    Problem,
    Step,
    clean_gradient,
    slopes,
    through_step,
)
from pipelines.hypergradient.update_rules import (
    Direction,
    Parameters,
    Rate,
    State,
    UpdateRule,
)
from pipelines.study.phases import Engine


class Stored(NamedTuple):
    """Where a look-ahead step began, along which gradient it went, and the outputs there."""

    problem: Problem
    theta: Parameters
    grads: Parameters
    state: State
    z: OutputTensors | None


def hypergradient_over(
    problems: Sequence[Problem],
    theta: Parameters,
    phi: Sequence[Tensor],
    step: Step,
    engine: Engine = "forward",
) -> list[Tensor]:
    """Gradient of the clean loss after one step on each of the problems, in each of phi.

    problems: whose training losses the steps are on, in order; the clean loss is the first one's.
    Other arguments as of `engines.hypergradient`.
    """
    if engine == "double_backward":
        return _double_backward(problems, theta, phi, step)
    stored, theta, state = _look_ahead(problems, theta, step)
    ahead = clean_gradient(problems[0], theta)
    remembered = {n: {k: torch.zeros_like(t) for k, t in moving(s)} for n, s in state.items()}
    total = [torch.zeros_like(p) for p in phi]
    for place in reversed(range(len(stored))):
        begun = stored.pop()
        ahead, along, remembered = _pull_back(begun, step, ahead, remembered)
        if place:
            curved, parts = _second_derivatives(begun, along, phi)
            ahead = {name: ahead[name] + curved[name] for name in ahead}
        else:
            parts = through_step(begun.problem, begun.theta, phi, along, engine, z=begun.z)
        total = [a + b for a, b in zip(total, parts, strict=True)]
    return total


def take_step(
    step: Step, theta: Parameters, grads: Parameters, state: State
) -> tuple[dict[str, Tensor], State]:
    """Parameters and the optimizer's state after one step."""
    if isinstance(step, UpdateRule):
        return step.step(theta, grads, state)
    rate: Rate = step
    return {name: p - rate * grads[name] for name, p in theta.items()}, {n: {} for n in theta}


def first_state(step: Step, theta: Parameters) -> State:
    """The optimizer's at present; of plain SGD there is none."""
    return step.state() if isinstance(step, UpdateRule) else {name: {} for name in theta}


def _look_ahead(
    problems: Sequence[Problem], theta: Parameters, step: Step
) -> tuple[list[Stored], Parameters, State]:
    """The steps, and parameters and state after them."""
    stored, state = [], first_state(step, theta)
    for problem in problems:
        leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
        found, z = slopes(problem, leaves, None)
        grads = dict(zip(theta, found, strict=True))
        stored.append(Stored(problem, leaves, grads, state, z))
        with torch.no_grad():
            theta, state = take_step(step, leaves, grads, state)
    return stored, theta, state


def _pull_back(
    begun: Stored, step: Step, ahead: Direction, remembered: dict[str, Direction]
) -> tuple[Direction, Direction, dict[str, Direction]]:
    """What is behind a step, pulled back to its parameters, its gradient and its state."""
    theta, grads = (
        {n: t.detach().requires_grad_() for n, t in part.items()} for part in begun[1:3]
    )
    state = {
        name: values | {key: t.detach().requires_grad_() for key, t in moving(values)}
        for name, values in begun.state.items()
    }
    with torch.enable_grad():
        after, later = take_step(step, theta, grads, state)
    ends = [(after[name], ahead[name]) for name in theta]
    ends += [(t, remembered[name][key]) for name in theta for key, t in moving(later.get(name, {}))]
    begins = [(name, key) for name in theta for key, _ in moving(state.get(name, {}))]
    pulled = torch.autograd.grad(
        [end for end, _ in ends],
        [*theta.values(), *grads.values(), *(state[n][k] for n, k in begins)],
        [weight for _, weight in ends],
        materialize_grads=True,
    )
    count = len(theta)
    before: dict[str, Direction] = {name: {} for name in theta}
    for (name, key), value in zip(begins, pulled[2 * count :], strict=True):
        before[name][key] = value
    along = dict(zip(theta, pulled[count : 2 * count], strict=True))
    return dict(zip(theta, pulled[:count], strict=True)), along, before


def moving(state: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """The part of a parameter's state that depends on gradients: not the number of its steps."""
    return [(key, t) for key, t in state.items() if key != "step" and isinstance(t, Tensor)]


def _second_derivatives(
    begun: Stored, along: Direction, phi: Sequence[Tensor]
) -> tuple[Direction, list[Tensor]]:
    """d/dtheta and d/dphi of < dL/dtheta, along >."""
    theta, problem = begun.theta, begun.problem
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        loss = problem.loss(problem.outputs(theta), theta)
        first = torch.autograd.grad(
            loss, [*theta.values()], create_graph=True, materialize_grads=True
        )
        inner = torch.stack([(g * along[n]).sum() for n, g in zip(theta, first, strict=True)]).sum()
        second = torch.autograd.grad(inner, [*theta.values(), *phi], materialize_grads=True)
    return dict(zip(theta, second, strict=False)), list(second[len(theta) :])


def _double_backward(
    problems: Sequence[Problem], theta: Parameters, phi: Sequence[Tensor], step: Step
) -> list[Tensor]:
    """The reference: all steps stay in one graph."""
    state = first_state(step, theta)
    with sdpa_kernel(SDPBackend.MATH):
        for problem in problems:
            loss = problem.loss(problem.outputs(theta), theta)
            first = torch.autograd.grad(
                loss, [*theta.values()], create_graph=True, materialize_grads=True
            )
            theta, state = take_step(step, theta, dict(zip(theta, first, strict=True)), state)
    return list(torch.autograd.grad(problems[0].clean(theta), list(phi), materialize_grads=True))
