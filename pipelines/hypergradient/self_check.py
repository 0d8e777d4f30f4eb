"""Does an engine differentiate this model? Asked before the first step, on a few examples.

Of the network a meta step needs J v alone: the derivative of its outputs in a direction v (see
`engines`). Reverse mode, by which training itself learns, gives J^T u. Both give one number,

    < u, J v > = < J^T u, v >    for all u, v

which holds exactly for every model, and needs first derivatives alone: it judges where double
backward cannot. Kinks do no harm: wherever the outputs move with the parameters at all, parameters
that are moved by a hair are at none (`off_kinks`). A finite difference is no reference: it steps
over kinks, and was off by 20-400 % on ResNets whose forward mode is exact to 1e-15.

Finite differences as an engine are an approximation that somebody has asked for. How far off they
are is the model's matter (docs/performance.md), and no bound of theirs holds across kinks; so it is
only asked of them that they run, and come out finite. So it is of the second derivative in the
parameters, by engines that need one: only a finite difference would be another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.objective import generator
from pipelines.errors import UserError
from pipelines.hypergradient.engines import TANGENTS, Direction, OutputTensors
from pipelines.hypergradient.model_calls import ModelCalls, Reverse, reverse_mode
from pipelines.study.phases import Engine, Meta

EXACT: tuple[Engine, ...] = ("forward", "double_backward")
#: How far the two numbers may be apart, beside what rounding is seen to make. Each parameter adds 1
#: to them: a wrong rule is off by about 1 for each below it.
TOLERANCE, TOLERANCE_FLOAT32 = 1e-3, 0.1
#: How far two calls of a model may be apart, as a share: they run the same operators.
SAME = 1e-3


class NoRule(UserError):
    """An engine cannot differentiate an operator, as it runs on this device."""


def derivatives_of(meta: Meta) -> tuple[Engine, ...]:
    """How a meta step differentiates the network: by the engines that do no more than that."""
    first: Engine = "forward" if meta.engine == "t1_t2" else meta.engine
    once = (first,) if first in TANGENTS else ()
    return once if once and meta.horizon == 1 else (*once, "double_backward")


def check_rules(model: ModelCalls, meta: Meta) -> None:
    """Can the engine differentiate the model at all? Some operators have no rule.

    Raises:
        NoRule: it cannot; names the operator and the way out.
    """
    reverse = reverse_mode(model)
    engine = meta.engine
    try:
        parts = [_tangents(model, how, reverse.gradients) for how in derivatives_of(meta)]
        if "double_backward" in derivatives_of(meta) and engine != "double_backward":
            parts.append(_curved(model, reverse))
    except torch.OutOfMemoryError:  # no fault of the model: the trial is given more memory
        raise
    except Exception as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise NoRule(
            f"meta.engine = {engine!r} cannot differentiate this model: {reason}; "
            f"{_way_out(model, reverse, meta)}"
        ) from None
    if _finite(reverse.gradients.values()) and not all(map(_finite, parts)):
        raise UserError(
            f"meta.engine = {engine!r}: the derivative of this model is not finite, though its "
            f"gradient is; {_way_out(model, reverse, meta)}"
        )


@sdpa_kernel(SDPBackend.MATH)
def check_exactness(model: ModelCalls, reverse: Reverse, meta: Meta) -> None:
    """Is the model that the meta step calls the one that is trained, and its derivative right?

    Raises:
        UserError: it is not; with the way out.
    """
    judged = _finite(reverse.gradients.values())
    engines: list[Engine] = [e for e in derivatives_of(meta) if judged and e in EXACT]
    found = [_disagreement(model, reverse, how) for how in engines]
    problem = next((p for p in found if p is not None), None)
    _check_calls(model, reverse)  # is told first, but done last: it moves buffers
    if problem is not None:
        raise UserError(
            f"meta.engine = {meta.engine!r} is wrong for this model: {problem}; "
            f"{_way_out(model, reverse, meta)}"
        )


def _disagreement(model: ModelCalls, reverse: Reverse, engine: Engine) -> str | None:
    """How < u, J v > and < J^T u, v > differ by more than rounding, if they do."""
    directions = _equal_shares(reverse.gradients)
    tangents = _tangents(model, engine, directions)
    measured = sum(_inner(u, t) for u, t in zip(reverse.cotangents, tangents, strict=True))
    expected = sum(_inner(reverse.gradients[name], v) for name, v in directions.items())
    error = abs(measured - expected)
    double = reverse.outputs[0].dtype == torch.double
    tolerance = TOLERANCE if double else TOLERANCE_FLOAT32
    if error <= tolerance or error <= tolerance + 2 * _rounding(model, directions):
        return None
    return f"of {expected:.4g} of its gradient it finds {measured:.4g}"


def _check_calls(model: ModelCalls, reverse: Reverse) -> None:
    """A look-ahead of another model than the one that is trained would pass every other test."""
    outputs = model.forward()
    for one, other in zip(outputs, reverse.outputs, strict=True):
        if _apart(one, other, one.norm()):
            raise UserError(
                "this model cannot be meta-learned with: called twice at the same parameters, "
                "inputs and random seed it gives different outputs; it may draw from numpy or "
                "random in place of torch, or keep a state that is no buffer"
            )
    grads = torch.autograd.grad(
        outputs, [*model.theta.values()], reverse.cotangents, materialize_grads=True
    )
    largest = torch.stack([g.norm() for g in grads]).max()
    for (name, gradient), trained in zip(reverse.gradients.items(), grads, strict=True):
        if _apart(trained, gradient, largest):
            raise UserError(
                "this model cannot be meta-learned with: torch.func.functional_call does not reach "
                f"its parameter {name!r}, which it may hold in a list or in a compiled part"
            )


def _apart(one: Tensor, other: Tensor, size: Tensor) -> bool:
    """What is not finite has no distance."""
    return bool((one - other).norm() > SAME * size)


def _equal_shares(gradients: Direction) -> Direction:
    """v: of each parameter along its own gradient w, so long that < w, v > is 1.

    So a rule that is wrong for one is not drowned by the others. What is rounding beside the
    largest (a bias before BatchNorm) gets no share: as long a v would have as much rounding.
    """
    squares = {name: g.double().square().sum() for name, g in gradients.items()}
    largest = torch.stack(list(squares.values())).max()
    eps = torch.finfo(next(iter(gradients.values())).dtype).eps
    floor = (eps**0.5 * largest).clamp_min(torch.finfo(torch.double).tiny)
    return {name: (g.double() / (squares[name] + floor)).to(g) for name, g in gradients.items()}


def _rounding(model: ModelCalls, directions: Direction) -> float:
    """How far < J^T u, v > is off by rounding.

    That is how much it changes with parameters that differ in their last digits. In float64 that is
    1e-8; in float32 it may be nearly all of it, where a BatchNorm divides by next to nothing.
    """
    values, gen = [], generator("last digits")
    for _ in range(4):
        theta = {}
        for name, p in model.theta.items():
            noise = torch.rand(p.shape, generator=gen).to(p)
            theta[name] = p.detach() * (1 + 8 * torch.finfo(p.dtype).eps * noise)
        gradients = reverse_mode(replace(model, theta=theta)).gradients
        values.append(sum(_inner(gradients[name], v) for name, v in directions.items()))
    return max(values) - min(values)


def _tangents(model: ModelCalls, engine: Engine, directions: Direction) -> OutputTensors:
    """J v as the engine finds it."""
    if engine == "double_backward":
        return _by_double_backward(model, directions)
    return TANGENTS[engine](model.forward_with, model.theta, dict(directions), None)[1]


@sdpa_kernel(SDPBackend.MATH)  # as in the engine itself
def _by_double_backward(model: ModelCalls, directions: Direction) -> OutputTensors:
    """J^T u is linear in u: its derivative in u, along v, is J v."""
    leaves = {name: p.detach().requires_grad_() for name, p in model.theta.items()}
    outputs = model.forward_with(leaves)
    u = tuple(torch.zeros_like(t).requires_grad_() for t in outputs)
    w = torch.autograd.grad(
        outputs, [*leaves.values()], u, create_graph=True, materialize_grads=True
    )
    along = [directions[name] for name in leaves]
    return torch.autograd.grad(w, u, along, materialize_grads=True)


@sdpa_kernel(SDPBackend.MATH)
def _curved(model: ModelCalls, reverse: Reverse) -> OutputTensors:
    """The gradient of < J^T u, v > in the parameters, with v the gradient."""
    leaves = {name: p.detach().requires_grad_() for name, p in model.theta.items()}
    w = torch.autograd.grad(
        model.forward_with(leaves),
        [*leaves.values()],
        reverse.cotangents,
        create_graph=True,
        materialize_grads=True,
    )
    inner = [(reverse.gradients[n] * g).sum() for n, g in zip(leaves, w, strict=True)]
    total = torch.stack(inner).sum()
    if not total.requires_grad:  # a linear model
        return ()
    return torch.autograd.grad(total, [*leaves.values()], materialize_grads=True)


def _inner(one: Tensor, other: Tensor) -> float:
    return float((one.double() * other.double()).sum())


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors)


def _way_out(model: ModelCalls, reverse: Reverse, meta: Meta) -> str:
    """The engine that does differentiate the model, if there is one."""
    advice = "give the study an arm of its own (docs/study.md) with meta.engine: "
    others: list[tuple[Engine, str]] = []
    if meta.engine == "t1_t2":
        others.append(("double_backward", "neumann and terms: 1, which is the same in that length"))
    elif meta.engine in TANGENTS:
        others.append(("double_backward", "double_backward, which is exact"))
    if "double_backward" in derivatives_of(meta):
        alone = meta.engine == "double_backward" and meta.horizon == 1
        once = "forward, which is exact"
        others.append(("forward", once if alone else "forward and horizon: 1, without curvature"))
    for how, words in others:
        try:
            if _disagreement(model, reverse, how) is None:
                return advice + words
        except Exception:  # whatever it is, this is no way out
            pass
    return f"{advice}finite_difference, which is approximate and needs float32"
