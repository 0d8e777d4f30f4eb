"""The hypergradient: d clean(theta') / d phi, after a look-ahead.

    theta' = theta - alpha dL/dtheta(theta, phi)

With outputs z(theta), per-example losses l(z; phi) and L their mean, and g = d clean / d theta at
theta':

    d clean / d phi = -alpha d/dphi < dL/dz(z; phi), zdot >,    zdot = J_theta z . g

A penalty R(theta; phi) of the training loss adds -alpha d/dphi < dR/dtheta, g >.

For a look-ahead theta' = theta + U(dL/dtheta) by another update rule, -alpha g is replaced by
(dU/dgradient)^T g (`update_rules`). Only the loss head is differentiated twice; the network gives
one directional derivative, and its graph is never differentiated again. This is exact for the
one-step look-ahead of L2RW (Ren et al. 2018), Meta-Weight-Net (Shu et al. 2019) and adaptive robust
losses (Shu et al. 2020), also where rows of the loss depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipelines.hypergradient.forward_mode import forward_mode
from pipelines.hypergradient.update_rules import (
    Direction,
    Parameters,
    Rate,
    Taken,
    UpdateRule,
    linearised,
)
from pipelines.study.phases import Engine

Step = Rate | UpdateRule  # of the look-ahead: plain SGD at a rate, or the optimizer's own
RADIUS = 1e-3
OutputTensors = tuple[Tensor, ...]
Tangent = tuple[OutputTensors, OutputTensors]
OutputsOf = Callable[[Parameters], OutputTensors]


def _no_penalty(theta: Parameters) -> Tensor | None:
    return None


def with_penalty(loss: Tensor, penalty: Tensor | None) -> Tensor:
    """Their sum; the loss itself where there is no penalty."""
    return loss if penalty is None else loss + penalty


@dataclass(frozen=True)
class Problem:
    """A bilevel problem at one step.

    outputs: parameters -> tuple of output tensors of the training batch; leaves no trace in buffers
    or random state.
    losses: outputs -> per-example losses [B]; depends on the meta-parameters.
    clean: parameters -> the scalar clean loss.
    penalty: parameters -> a scalar that the training loss has beside the mean of the losses; it may
    depend on the meta-parameters. None: there is none.
    moves: False where the look-ahead is known to be the identity (the training loss is zero for
    every theta: L2RW).
    """

    outputs: Callable[[Parameters], OutputTensors]
    losses: Callable[[OutputTensors], Tensor]
    clean: Callable[[Parameters], Tensor]
    moves: bool = True
    penalty: Callable[[Parameters], Tensor | None] = _no_penalty

    def loss(self, outputs: OutputTensors, theta: Parameters) -> Tensor:
        """The training loss L, a scalar."""
        return with_penalty(self.losses(outputs).mean(), self.penalty(theta))


def hypergradient(
    problem: Problem,
    theta: Parameters,
    phi: Sequence[Tensor],
    step: Step,
    engine: Engine = "forward",
    taken: Taken | None = None,
    z: OutputTensors | None = None,
) -> list[Tensor]:
    """Gradient of the clean loss after the look-ahead, with respect to each of phi.

    theta: what the look-ahead moves, all of the model's parameters or some; step: its learning rate
    alpha, or another update rule; taken: the look-ahead where the caller has taken it already; z:
    the outputs at theta where the caller has them. Parameters, buffers and their .grad are left as
    they are.
    """
    if engine == "double_backward":
        if taken is not None:
            raise ValueError("double_backward takes the look-ahead itself: use it with rollback")
        return _double_backward(problem, theta, phi, step)
    if taken is None:
        taken, z = look_ahead(problem, theta, step, z)
    pull_back = taken.pull_back
    direction = clean_gradient(problem, taken.theta)
    del taken  # as large as the model, and not needed any more
    if pull_back is not None:
        direction = pull_back(direction)
        del pull_back  # it holds the step's graph
    scale = 1.0 if isinstance(step, UpdateRule) else -step
    return through_step(problem, theta, phi, direction, engine, scale, z)


def through_step(
    problem: Problem,
    theta: Parameters,
    phi: Sequence[Tensor],
    direction: Direction,
    engine: Engine,
    scale: Rate = 1.0,
    z: OutputTensors | None = None,
) -> list[Tensor]:
    """scale d/dphi < dL/dtheta, direction >; the direction may be taken apart on the way.

    engine: by which the outputs are differentiated, any but double_backward; z: the outputs at
    theta where the caller has them.
    """
    slope = _penalty_along(problem, theta, direction)
    z, zdot = TANGENTS[engine](problem.outputs, theta, direction, z)
    return through_the_head(problem.losses, z, zdot, phi, scale, slope)


def look_ahead(
    problem: Problem, theta: Parameters, step: Step, z: OutputTensors | None = None
) -> tuple[Taken, OutputTensors | None]:
    """theta', after one step of plain SGD as in the papers or of another rule; and the outputs.

    z: the outputs at theta with their graph, which is then retained; otherwise they are computed
    here. Where nothing moves, they are what the caller knows of them.
    """
    if isinstance(step, UpdateRule):
        grads, outputs = slopes(problem, theta, z)
        return linearised(step, theta, dict(zip(theta, grads, strict=True))), outputs
    if not problem.moves:
        return Taken(dict(theta)), z
    grads, outputs = slopes(problem, theta, z)
    rate = step if isinstance(step, Tensor) else grads[0].new_tensor(step)
    left = [*reversed(grads)]
    del grads  # each goes when it has been used: together they are as large as the model
    with torch.no_grad():
        moved = {n: torch.addcmul(p, left.pop(), rate, value=-1) for n, p in theta.items()}
    return Taken(moved), outputs


def slopes(
    problem: Problem, theta: Parameters, z: OutputTensors | None
) -> tuple[list[Tensor], OutputTensors | None]:
    """dL/dtheta, and the outputs at theta."""
    values = [*theta.values()]
    if not problem.moves:
        return [torch.zeros_like(p) for p in values], z
    outputs = problem.outputs(theta) if z is None else z
    grads = torch.autograd.grad(
        problem.loss(outputs, theta), values, retain_graph=z is not None, materialize_grads=True
    )
    return [*grads], tuple(t.detach() for t in outputs)


def clean_gradient(problem: Problem, theta: Parameters) -> Direction:
    """d clean / d theta."""
    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    grads = torch.autograd.grad(
        problem.clean(leaves), list(leaves.values()), materialize_grads=True
    )
    return dict(zip(leaves, grads, strict=True))


def _forward_mode(
    outputs: OutputsOf, theta: Parameters, direction: Direction, z: OutputTensors | None = None
) -> Tangent:
    """z and J z . direction in one pass with dual numbers; no graph is built."""
    with forward_mode():
        dual = {n: forward_ad.make_dual(p.detach(), direction[n]) for n, p in theta.items()}
        pairs = [forward_ad.unpack_dual(output) for output in outputs(dual)]
    tangents = [torch.zeros_like(p.primal) if p.tangent is None else p.tangent for p in pairs]
    return tuple(p.primal for p in pairs), tuple(tangents)


def _finite_difference(
    outputs: OutputsOf, theta: Parameters, direction: Direction, z: OutputTensors | None = None
) -> Tangent:
    """z and the central difference (z(theta + eps g) - z(theta - eps g)) / 2 eps.

    Where z is not known it is the mean of the two, which is off by the square of eps.
    """
    with torch.no_grad():
        eps = _small(direction)
        up = outputs({n: torch.addcmul(p, direction[n], eps) for n, p in theta.items()})
        down = outputs({n: torch.addcmul(p, direction[n], -eps) for n, p in theta.items()})
        middle = tuple((u + d) / 2 for u, d in zip(up, down, strict=True)) if z is None else z
        return middle, tuple((u - d) / (2 * eps) for u, d in zip(up, down, strict=True))


def _one_sided_difference(
    outputs: OutputsOf, theta: Parameters, direction: Direction, z: OutputTensors | None = None
) -> Tangent:
    """z and (z(theta + eps g) - z) / eps: a single forward where z is known.

    Takes the direction apart as it is used: it is as large as the model, and so is its sum.
    """
    with torch.no_grad():
        z = outputs(theta) if z is None else z
        eps = _small(direction)
        up = outputs({n: torch.addcmul(p, direction.pop(n), eps) for n, p in theta.items()})
        return z, tuple((u - d) / eps for u, d in zip(up, z, strict=True))


def _small(direction: Direction) -> Tensor:
    """eps, for which eps direction has length RADIUS."""
    norm = torch.nn.utils.get_total_norm(direction.values())
    return RADIUS / norm.clamp_min(torch.finfo(norm.dtype).tiny)


TANGENTS = {
    "forward": _forward_mode,
    "finite_difference": _finite_difference,
    "one_sided_difference": _one_sided_difference,
}


def through_the_head(
    losses: Callable[[OutputTensors], Tensor],
    z: Iterable[Tensor],
    zdot: Iterable[Tensor],
    phi: Sequence[Tensor],
    scale: Rate,
    slope: Tensor | None = None,
) -> list[Tensor]:
    """scale d/dphi (< dL/dz, zdot > + slope), with L the mean of the losses.

    slope: of the penalty along the direction to which zdot belongs.
    """
    leaves = tuple(t.detach().requires_grad_() for t in z)
    slopes = torch.autograd.grad(
        losses(leaves).mean(), leaves, create_graph=True, allow_unused=True
    )
    used = [(s, t) for s, t in zip(slopes, zdot, strict=True) if s is not None]
    inner = with_penalty(torch.stack([(s * t).sum() for s, t in used]).sum(), slope)
    grads = torch.autograd.grad(inner, list(phi), allow_unused=True)
    return [
        torch.zeros_like(p) if g is None else scale * g for p, g in zip(phi, grads, strict=True)
    ]


def _penalty_along(problem: Problem, theta: Parameters, direction: Direction) -> Tensor | None:
    """< dR/dtheta, direction > with its graph in phi."""
    leaves = {name: p.detach().requires_grad_() for name, p in theta.items()}
    penalty = problem.penalty(leaves)
    if penalty is None:
        return None
    grads = torch.autograd.grad(penalty, [*leaves.values()], create_graph=True, allow_unused=True)
    used = [(g * direction[n]).sum() for n, g in zip(leaves, grads, strict=True) if g is not None]
    return torch.stack(used).sum()


def _double_backward(
    problem: Problem, theta: Parameters, phi: Sequence[Tensor], step: Step
) -> list[Tensor]:
    """The reference: the look-ahead stays in the graph, which is differentiated once more."""
    values = list(theta.values())
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        loss = problem.loss(problem.outputs(theta), theta)
        slopes = torch.autograd.grad(loss, values, create_graph=True, materialize_grads=True)
    grads = dict(zip(theta, slopes, strict=True))
    if isinstance(step, UpdateRule):
        ahead, _ = step.step({n: p.detach() for n, p in theta.items()}, grads, step.state())
    else:
        ahead = {n: p - step * grads[n] for n, p in theta.items()}
    return list(torch.autograd.grad(problem.clean(ahead), list(phi), materialize_grads=True))
