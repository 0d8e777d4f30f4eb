"""Training loops written from the papers, in plain PyTorch: what `fidelity` measures by.

They know nothing of this project. Each step takes the look-ahead as the papers have it, with the
model's parameters as functional arguments, and differentiates through it by double backward; the
look-ahead and the clean loss see batch statistics in BatchNorm and leave its running ones alone,
as the copies of the model in the published codes do. Algorithm 1 of Ren et al., ICML 2018, for
weights that are fresh at every step; algorithm 1 of Shu et al., NeurIPS 2019, for all else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

Example = tuple[Tensor, Tensor, Tensor, Tensor]  # inputs, labels, clean inputs, clean labels


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each example [B], as -z_y + log sum exp z."""
    return torch.logsumexp(logits, dim=1) - logits.gather(1, labels[:, None]).squeeze(1)


def probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the label of each example [B]."""
    return torch.softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)


def lq(logits: Tensor, labels: Tensor, q: Tensor | float) -> Tensor:
    """Zhang & Sabuncu 2018, equation 6: (1 - p^q) / q."""
    return (1 - probability(logits, labels) ** q) / q


def sce(logits: Tensor, labels: Tensor, alpha: Tensor | float, beta: Tensor | float) -> Tensor:
    """Wang et al. 2019, equations 3 to 6: alpha H(q, p) + beta H(p, q), log 0 = -4."""
    p = torch.softmax(logits, dim=1)
    log_q = torch.full_like(p, -4.0).scatter(1, labels[:, None], 0.0)
    return alpha * negative_log_likelihood(logits, labels) - beta * (p * log_q).sum(dim=1)


def focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Lin et al. 2017, equation 4: -(1 - p)^gamma log p."""
    p = probability(logits, labels)
    return -((1 - p) ** gamma) * torch.log(p)


def smoothed(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Szegedy et al. 2016: cross-entropy with (1 - s) of the label and s / K of every class."""
    uniform = torch.logsumexp(logits, dim=1) - logits.mean(dim=1)
    return (1 - smoothing) * negative_log_likelihood(logits, labels) + smoothing * uniform


class Momentum:
    """SGD of Sutskever et al. 2013 as PyTorch has it, with weight decay in the gradient."""

    def __init__(self, lr: float, momentum: float, weight_decay: float, nesterov: bool) -> None:
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov
        self.weight_decay = weight_decay
        self.velocity: list[Tensor] = []

    def step(self, parameters: Sequence[Tensor], grads: list[Tensor]) -> None:
        """Move the parameters in place."""
        grads = [g + self.weight_decay * p for g, p in zip(grads, parameters, strict=True)]
        before = self.velocity or [torch.zeros_like(g) for g in grads]
        self.velocity = [self.momentum * v + g for v, g in zip(before, grads, strict=True)]
        for p, g, v in zip(parameters, grads, self.velocity, strict=True):
            p.sub_(self.lr * (g + self.momentum * v if self.nesterov else v))


class Adam:
    """Kingma & Ba 2015, algorithm 1, and its AMSGrad (Reddi et al. 2018); L2 in the gradient."""

    def __init__(self, lr: float, weight_decay: float = 0.0, amsgrad: bool = False) -> None:
        self.lr, self.weight_decay, self.amsgrad = lr, weight_decay, amsgrad
        self.time = 0
        self.first: list[Tensor] = []
        self.second: list[Tensor] = []
        self.largest: list[Tensor] = []

    def step(self, parameters: Sequence[Tensor], grads: list[Tensor]) -> None:
        """Move the parameters in place."""
        if not self.time:
            zeros = [torch.zeros_like(p) for p in parameters]
            self.first, self.second, self.largest = zeros, [*zeros], [*zeros]
        self.time += 1
        for i, (p, grad) in enumerate(zip(parameters, grads, strict=True)):
            g = grad + self.weight_decay * p
            self.first[i] = 0.9 * self.first[i] + 0.1 * g
            self.second[i] = 0.999 * self.second[i] + 0.001 * g**2
            self.largest[i] = torch.maximum(self.largest[i], self.second[i])
            second = self.largest[i] if self.amsgrad else self.second[i]
            root = (second / (1 - 0.999**self.time)).sqrt() + 1e-8
            p.sub_(self.lr * self.first[i] / (1 - 0.9**self.time) / root)


Losses = Callable[[Tensor, Tensor, list[Tensor]], Tensor]  # logits, labels, phi -> [B]


@dataclass
class Loop:
    """A model, what its loss learns, and how both move.

    losses: of each example, given phi; lr: of the model; rate: of the look-ahead.
    """

    model: nn.Module
    losses: Losses
    phi: list[Tensor]
    descent: Momentum
    meta: Momentum | Adam
    rate: float

    def step(self, examples: Example) -> list[Tensor]:
        """One step of the algorithm; the hypergradient that it took."""
        x, y, clean_x, clean_y = examples
        theta = {name: p.detach().requires_grad_() for name, p in self.model.named_parameters()}
        loss = self.losses(self.look(theta, x), y, self.phi).mean()
        grads = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        ahead = {n: p - self.rate * g for (n, p), g in zip(theta.items(), grads, strict=True)}
        clean = negative_log_likelihood(self.look(ahead, clean_x), clean_y).mean()
        hypergradient = [*torch.autograd.grad(clean, self.phi)]
        with torch.no_grad():
            self.meta.step(self.phi, hypergradient)
        self.descend(self.losses(self.model(x), y, self.phi).mean())
        return hypergradient

    def look(self, theta: dict[str, Tensor], x: Tensor) -> Tensor:
        """Logits at other parameters, on a copy of BatchNorm's running statistics."""
        buffers = {name: b.clone() for name, b in self.model.named_buffers()}
        return functional_call(self.model, {**theta, **buffers}, (x,))

    def descend(self, loss: Tensor) -> None:
        """The model's own step."""
        parameters = list(self.model.parameters())
        grads = [*torch.autograd.grad(loss, parameters)]
        with torch.no_grad():
            self.descent.step(parameters, grads)


class Reweighting(Loop):
    """Algorithm 1 of Ren et al. 2018: phi are the weights of a batch, and start from nothing."""

    weights: Tensor

    def step(self, examples: Example) -> list[Tensor]:
        """One step of the algorithm; the hypergradient that it took."""
        x, y, clean_x, clean_y = examples
        epsilon = torch.zeros(len(y), dtype=x.dtype, requires_grad=True)
        theta = {name: p.detach().requires_grad_() for name, p in self.model.named_parameters()}
        loss = (epsilon * negative_log_likelihood(self.look(theta, x), y)).sum()
        grads = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        ahead = {n: p - self.rate * g for (n, p), g in zip(theta.items(), grads, strict=True)}
        clean = negative_log_likelihood(self.look(ahead, clean_x), clean_y).mean()
        [slope] = torch.autograd.grad(clean, [epsilon])
        positive = torch.clamp(-slope, min=0)
        total = positive.sum()
        self.weights = positive / (total if total > 0 else 1.0)
        self.descend((self.weights * negative_log_likelihood(self.model(x), y)).sum())
        return [slope]
