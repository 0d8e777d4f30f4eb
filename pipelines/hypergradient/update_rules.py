"""An optimizer's own step as a function of its gradient, for a look-ahead that is this step.

    theta' = theta + U(dL/dtheta; state)

The hypergradient through it needs (dU/dgradient)^T g and nothing more of U (see `engines`); so the
rule is differentiated, which works on each parameter alone or on a norm, and never the network.
"""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipelines.errors import UserError, one_line

Parameters = Mapping[str, Tensor]
Rate = float | Tensor  # a scalar on the device: a step that was recorded reads its present value
Rates = Mapping[str, Rate]  # by the parameter's name
State = dict[str, dict[str, Any]]  # of an optimizer, by the parameter's name

Options = Mapping[str, dict[str, Any]]  # an optimizer's, by the parameter's name
Direction = dict[str, Tensor]  # in which something is differentiated: one for each parameter

CLIP_EPS = 1e-6  # as in torch.nn.utils.clip_grad_norm_


@dataclass(frozen=True)
class UpdateRule:
    """The step that an optimizer would take, as a function that autograd can differentiate.

    parameters: the optimizer's own tensors by name; rate: its present learning rate; clip: the
    largest norm of the gradient, all parameters together; factors: by name, what the rate of a
    parameter is multiplied by, where that is not 1.
    """

    optimizer: torch.optim.Optimizer
    parameters: Parameters
    rate: Rate
    clip: float | None = None
    factors: Mapping[str, float] = field(default_factory=dict)

    def state(self) -> State:
        """What the optimizer remembers at present; nothing before its first step."""
        state = self.optimizer.state
        return {name: dict(state[p]) if p in state else {} for name, p in self.parameters.items()}

    def options(self) -> Options:
        """The optimizer's options for each parameter: of the group that it is in."""
        group_of = {id(p): group for group in self.optimizer.param_groups for p in group["params"]}
        return {name: group_of[id(p)] for name, p in self.parameters.items()}

    def step(
        self, theta: Parameters, grads: Parameters, state: State
    ) -> tuple[dict[str, Tensor], State]:
        """theta' and the state after it. No argument changes.

        Raises:
            UserError: the step of an optimizer of the user's own cannot be taken so.
        """
        if self.clip is not None:
            grads = clipped(grads, self.clip)
        rule = KNOWN.get(type(self.optimizer), _by_its_own_code)
        different = {factor: self.rate * factor for factor in set(self.factors.values())}
        rates = {n: different[self.factors[n]] if n in self.factors else self.rate for n in theta}
        return rule(self.optimizer, self.options(), rates, theta, grads, state)


@dataclass(frozen=True)
class Taken:
    """A look-ahead that has been taken.

    theta: where it leads to; pull_back: (d theta' / d gradient)^T of a direction. Without it that
    is a multiplication by -alpha.
    """

    theta: Parameters
    pull_back: Callable[[Direction], Direction] | None = None


def linearised(rule: UpdateRule, theta: Parameters, grads: Parameters) -> Taken:
    """The rule's step along these gradients, with its derivative in them."""
    leaves = {name: g.detach().requires_grad_() for name, g in grads.items()}
    with torch.enable_grad():
        ahead, _ = rule.step({n: p.detach() for n, p in theta.items()}, leaves, rule.state())
    known = type(rule.optimizer) in KNOWN

    def pull_back(direction: Direction) -> Direction:
        pulled = torch.autograd.grad(
            [ahead[name] for name in leaves],
            [*leaves.values()],
            [direction[name] for name in leaves],
            materialize_grads=True,
        )
        pairs = zip(leaves.items(), pulled, strict=True)
        return {name: v if known else _where_defined(v, g) for (name, g), v in pairs}

    return Taken({name: p.detach() for name, p in ahead.items()}, pull_back)


def _where_defined(derivative: Tensor, grad: Tensor) -> Tensor:
    """0 where a gradient of 0 has none that autograd finds: RMSprop's root of a moment of 0.

    What never had a gradient takes no part in the training loss, so that any number will do.
    """
    undefined = (grad == 0) & ~derivative.isfinite()
    return torch.where(undefined, 0.0, derivative)


def clipped(grads: Parameters, largest: float) -> dict[str, Tensor]:
    """Gradients of a norm of at most `largest`, as clip_grad_norm_ has them."""
    # PyTorch's own get_total_norm leaves no graph.
    norms = [torch.linalg.vector_norm(g) for g in grads.values()]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    scale = (largest / (norm + CLIP_EPS)).clamp(max=1.0)
    return {name: scale * g for name, g in grads.items()}


def _sgd(
    optimizer: torch.optim.Optimizer,
    options: Options,
    rates: Rates,
    theta: Parameters,
    grads: Parameters,
    state: State,
) -> tuple[dict[str, Tensor], State]:
    """Momentum, Nesterov's or not, and weight decay."""
    ahead, later = {}, {}
    for name, p in theta.items():
        group = options[name]
        momentum, decay = group["momentum"], group["weight_decay"]
        slope = grads[name] + decay * p if decay else grads[name]
        if momentum:
            before = state[name].get("momentum_buffer")
            mean = slope if before is None else momentum * before + slope
            later[name] = {"momentum_buffer": mean}
            slope = slope + momentum * mean if group["nesterov"] else mean
        ahead[name] = p - rates[name] * slope
    return ahead, later


def _adamw(
    optimizer: torch.optim.Optimizer,
    options: Options,
    rates: Rates,
    theta: Parameters,
    grads: Parameters,
    state: State,
) -> tuple[dict[str, Tensor], State]:
    """Loshchilov & Hutter 2019, algorithm 2.

    The root of the second moment has no derivative at 0; there the gradient is 0 and always was, so
    that the moment's own derivative is 0.
    """
    ahead, later = {}, {}
    for name, p in theta.items():
        group = options[name]
        beta1, beta2 = group["betas"]
        g, before, rate = grads[name], state[name], rates[name]
        step = _next(before.get("step"))
        mean = beta1 * before.get("exp_avg", 0.0) + (1 - beta1) * g
        square = beta2 * before.get("exp_avg_sq", 0.0) + (1 - beta2) * g * g
        later[name] = {"step": step, "exp_avg": mean, "exp_avg_sq": square}
        root = torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)
        scale = root / (1 - beta2**step) ** 0.5 + group["eps"]
        decayed = p - rate * group["weight_decay"] * p
        ahead[name] = decayed - rate * (mean / (1 - beta1**step)) / scale
    return ahead, later


def _next(step: Any) -> Any:
    """The number of the step to take; in float64, since 1 - 0.999 in float32 is 5e-5 off."""
    return 1 if step is None else step + 1 if not isinstance(step, Tensor) else step.double() + 1


def _by_its_own_code(
    optimizer: torch.optim.Optimizer,
    options: Options,
    rates: Rates,
    theta: Parameters,
    grads: Parameters,
    state: State,
) -> tuple[dict[str, Tensor], State]:
    """Any other optimizer's `step`, taken with a graph on copies of parameters and state."""
    copies = {n: p.clone() if p.requires_grad else p.detach().clone() for n, p in theta.items()}
    copy = copy_on(optimizer, options, rates, copies, state)
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            for name, p in copies.items():
                p.grad = grads[name].clone()  # a step may change it in place
            inspect.unwrap(type(copy).step)(copy)
    except Exception as error:
        raise UserError(
            f"schedule.optimizer: the step of {type(optimizer).__name__} cannot be differentiated: "
            f"{one_line(error)}"
        ) from None
    return copies, {name: dict(copy.state[p]) for name, p in copies.items()}


def copy_on(
    optimizer: torch.optim.Optimizer,
    options: Options,
    rates: Rates,
    parameters: Parameters,
    state: State,
    differentiable: bool = True,
) -> torch.optim.Optimizer:
    """The same optimizer for other parameters, of which it has a state.

    options, rates: by name. differentiable: tells PyTorch's own that their step is to be; their
    fused kernels have no derivative in any case.
    """
    copy = object.__new__(type(optimizer))
    copy.__dict__.update(optimizer.__dict__)
    plain = {"foreach": False, "fused": False, "capturable": False}
    plain["differentiable"] = differentiable
    alike: dict[tuple[int, int], list[str]] = defaultdict(list)  # names by what they share
    for name in parameters:
        alike[id(options[name]), id(rates[name])].append(name)
    copy.param_groups = []
    for first, *others in alike.values():
        group, params = options[first], [parameters[name] for name in (first, *others)]
        changes = {name: value for name, value in plain.items() if name in group}
        copy.param_groups.append(group | changes | {"params": params, "lr": rates[first]})
    copy.state = defaultdict(dict)
    for name, p in parameters.items():
        if state[name]:
            copy.state[p] = {key: _copied(value) for key, value in state[name].items()}
    return copy


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else deepcopy(value)


#: Of these the step is written out: it needs no copies, and has its derivative everywhere.
KNOWN = {torch.optim.SGD: _sgd, torch.optim.AdamW: _adamw}
