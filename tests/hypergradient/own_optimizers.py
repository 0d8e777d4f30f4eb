"""Optimizers as users write them: some that can be differentiated, and some that cannot."""

from abc import ABC, abstractmethod

import torch
from torch.optim import Optimizer


class Own(Optimizer, ABC):
    def __init__(self, params, lr=0.1, rho=0.5):
        super().__init__(params, {"lr": lr, "rho": rho})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group)

    @abstractmethod
    def move(self, p, grad, group):
        """Change one parameter in place."""


class Cubic(Own):
    """Remembers a mean of gradients, and steps by its norm times it."""

    def move(self, p, grad, group):
        state = self.state[p]
        if not state:
            state["mean"] = torch.zeros_like(p)
        state["mean"].mul_(group["rho"]).add_(grad)
        p.add_(state["mean"].norm() * state["mean"], alpha=-float(group["lr"]))


class SignStep(Own):
    def move(self, p, grad, group):
        p.add_(grad.sign(), alpha=-float(group["lr"]))


class OnData(Own):
    def move(self, p, grad, group):
        p.data.add_(grad.data, alpha=-float(group["lr"]))


class Misled(Own):
    """Half of its gradient passes autograd by."""

    def move(self, p, grad, group):
        p.add_(grad + grad.detach(), alpha=-float(group["lr"]))


class Closure(Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self, closure):
        closure()
