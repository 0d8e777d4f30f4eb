"""The hypergradient by forward accumulation: d theta / d phi, carried along with the look-ahead.

    theta_(j+1) = U(theta_j, G_j),    G_j = dL_j/dtheta (theta_j; phi),    j = 0 ... k - 1
    Z_(j+1) = dU/dtheta Z_j + dU/dG (d G_j/dtheta Z_j + d G_j/dphi),    Z_0 = 0
    d clean / d phi = < d clean / d theta_k, Z_k >

Franceschi et al., "Forward and reverse gradient-based hyperparameter optimization", ICML 2017,
algorithm 2. Z has a column for each number of phi, as large as the model and the optimizer's state:
so it is for a few numbers, and needs no more memory for more steps. Second derivatives commute, so
that a column of the bracket is one backward pass,

    d/dtheta (< G_j, Z_j > + d L_j/dphi),

and the update rule, which works on each parameter alone or on a norm, is differentiated forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipelines.hypergradient.engines import Problem, Step, clean_gradient
from pipelines.hypergradient.forward_mode import forward_mode
from pipelines.hypergradient.horizon import first_state, moving, take_step
from pipelines.hypergradient.update_rules import Direction, Parameters, State


class Column(NamedTuple):
    """d theta / d phi_i, and the same of the optimizer's state by name and key."""

    theta: Direction
    state: dict[str, Direction]


def forward_accumulation(
    problems: Sequence[Problem], theta: Parameters, phi: Sequence[Tensor], step: Step
) -> list[Tensor]:
    """Gradient of the clean loss after one step on each of the problems, in each of phi.

    Arguments as of `horizon.hypergradient_over`.
    """
    state = first_state(step, theta)
    columns: list[Column | None] = [None] * sum(p.numel() for p in phi)
    for problem in problems:
        grads, slopes = _gradient_along(problem, theta, phi, columns)
        moved = [
            _step_along(step, theta, grads, state, column, slope)
            for column, slope in zip(columns, slopes, strict=True)
        ]
        with torch.no_grad():
            theta, state = take_step(step, _values(theta), grads, state)
        columns = [*moved]
    ahead = clean_gradient(problems[0], theta)
    slopes = [
        torch.stack([(ahead[n] * z).sum() for n, z in column.theta.items()]).sum()
        for column in columns
        if column is not None
    ]
    return [
        part.view_as(p)
        for part, p in zip(torch.stack(slopes).split([p.numel() for p in phi]), phi, strict=True)
    ]


def _gradient_along(
    problem: Problem, theta: Parameters, phi: Sequence[Tensor], columns: Sequence[Column | None]
) -> tuple[Direction, list[Direction]]:
    """dL/dtheta, and its derivative along each column and that column's number of phi."""
    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    values = [*leaves.values()]
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        loss = problem.loss(problem.outputs(leaves), leaves)
        found = torch.autograd.grad(
            loss, [*values, *phi], create_graph=True, materialize_grads=True
        )
        grads = dict(zip(leaves, found, strict=False))
        in_phi = torch.cat([g.flatten() for g in found[len(leaves) :]])
        slopes = []
        for column, slope in zip(columns, in_phi.unbind(), strict=True):
            tangents = {} if column is None else column.theta
            along = [(grads[name] * z).sum() for name, z in tangents.items()]
            inner = torch.stack([slope, *along]).sum()
            second = torch.autograd.grad(inner, values, retain_graph=True, materialize_grads=True)
            slopes.append(dict(zip(leaves, second, strict=True)))
    return _values(grads), slopes


def _step_along(
    step: Step,
    theta: Parameters,
    grads: Parameters,
    state: State,
    column: Column | None,
    slope: Direction,
) -> Column:
    """The column behind the step; slope: of the gradient along the column before it."""
    before = Column({}, {}) if column is None else column
    with forward_mode():
        after, later = take_step(
            step,
            _dual(_values(theta), before.theta),
            _dual(grads, slope),
            {name: _dual(values, before.state.get(name, {})) for name, values in state.items()},
        )
        remembered = {
            name: {key: _tangent(t) for key, t in moving(values)} for name, values in later.items()
        }
        return Column({name: _tangent(p) for name, p in after.items()}, remembered)


def _dual(values: Parameters, tangents: Direction) -> Direction:
    return {
        name: forward_ad.make_dual(value, tangents[name]) if name in tangents else value
        for name, value in values.items()
    }


def _tangent(value: Tensor) -> Tensor:
    primal, tangent = forward_ad.unpack_dual(value)
    return torch.zeros_like(primal) if tangent is None else tangent


def _values(tensors: Parameters) -> Direction:
    return {name: t.detach() for name, t in tensors.items()}
