"""The hypergradient of a training loss at its minimum, by the implicit function theorem.

    d clean / d phi = - d/dphi < dL/dtheta (theta; phi), q >,    q = H^-1 d clean / d theta

with H = d^2 L/dtheta^2 and theta(phi) the minimum. Nothing looks ahead: all is taken at theta as it
is, and exact where that is the minimum. The engines differ in how they solve for q.

- t1_t2: q = d clean / d theta, which takes H for the identity (Luketina et al., "Scalable
  gradient-based tuning of continuous regularization hyperparameters", ICML 2016). Theirs has a
  factor, the learning rate, and the clean gradient behind the step: as published it is
  `lookahead: alternating` with the engine forward.
- neumann: q = alpha sum_(j < terms) (I - alpha H)^j d clean / d theta, with alpha the look-ahead's
  rate (Lorraine, Vicol & Duvenaud, "Optimizing millions of hyperparameters by implicit
  differentiation", AISTATS 2020). It converges where alpha |H| < 2; one term is alpha times t1_t2.
  At a minimum it is the hypergradient through as many look-ahead steps on this one batch.
- conjugate_gradient: `terms` of its iterations on H q = d clean / d theta (Pedregosa,
  "Hyperparameter optimization with approximate gradient", ICML 2016). It needs H > 0, and stops
  where H bends no more upwards; robust losses need damping.

damping is added to the diagonal of H. H is of the training batch, by double backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipelines.hypergradient.engines import Problem, clean_gradient, through_step
from pipelines.hypergradient.update_rules import Parameters, Rate
from pipelines.study.phases import Engine

Curvature = Callable[[Tensor], Tensor]  # H + damping times a vector [P]


def implicit_hypergradient(
    problem: Problem,
    theta: Parameters,
    phi: Sequence[Tensor],
    rate: Rate,
    engine: Engine,
    terms: int,
    damping: float,
) -> list[Tensor]:
    """Gradient of the clean loss at the minimum that theta is taken for, in each of phi.

    rate: of neumann; terms, damping: of neumann and conjugate_gradient. Other arguments as of
    `engines.hypergradient`.
    """
    ahead = clean_gradient(problem, theta)
    if engine == "t1_t2":
        return through_step(problem, theta, phi, ahead, "forward", -1.0)
    leaves = [p.detach().requires_grad_() for p in theta.values()]
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        at = dict(zip(theta, leaves, strict=True))
        grads = torch.autograd.grad(
            problem.loss(problem.outputs(at), at), leaves, create_graph=True, materialize_grads=True
        )

        def slope(direction: Tensor, wanted: Sequence[Tensor]) -> tuple[Tensor, ...]:
            """The derivative of < dL/dtheta, direction >."""
            parts = direction.split([p.numel() for p in leaves])
            pairs = zip(grads, parts, strict=True)
            inner = torch.stack([(g * v.view_as(g)).sum() for g, v in pairs]).sum()
            return torch.autograd.grad(inner, wanted, retain_graph=True, materialize_grads=True)

        def curvature(v: Tensor) -> Tensor:
            return _flat(slope(v, leaves)) + damping * v

        clean = _flat([ahead[name] for name in theta])
        solved = (
            neumann(curvature, clean, rate, terms)
            if engine == "neumann"
            else conjugate_gradient(curvature, clean, terms)
        )
        return [-g for g in slope(solved, phi)]


def neumann(curvature: Curvature, b: Tensor, rate: Rate, terms: int) -> Tensor:
    """rate sum_(j < terms) (I - rate H)^j b: [P]."""
    term = rate * b
    total = term.clone()
    for _ in range(terms - 1):
        term = term - rate * curvature(term)
        total += term
    return total


def conjugate_gradient(curvature: Curvature, b: Tensor, terms: int) -> Tensor:
    """H^-1 b in the span of b, Hb, ... H^(terms - 1) b: [P].

    It stops before a direction that H does not bend upwards; b itself where already b is one (as
    Nocedal & Wright, "Numerical optimization", 2006, algorithm 7.1). The host does not wait for the
    device to tell.
    """
    solved, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    size, going = residual.dot(residual), torch.ones((), dtype=torch.bool, device=b.device)
    for number in range(terms):
        bent = curvature(direction)
        height = direction.dot(bent)
        going = going & (height > 0)
        otherwise = 0.0 if number else 1.0
        length = torch.where(going, size / torch.where(going, height, 1.0), otherwise)
        solved += length * direction
        residual -= length * bent
        before, size = size, residual.dot(residual)
        direction = residual + size / torch.where(before > 0, before, 1.0) * direction
    return solved


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])
