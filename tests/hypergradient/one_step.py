"""One training step on random examples, of any objective, with a BatchNorm network; in float64."""

import torch
from torch import nn
from torch.func import functional_call

from methods.objective import Batch, Outputs, cross_entropy
from pipelines.hypergradient.engines import Problem, hypergradient

ALPHA = 0.3
CLASSES, EXAMPLES = 4, 12


def relative_error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def batch_norm_net():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 16, 10),
        nn.BatchNorm1d(10),
        nn.Tanh(),
        nn.Linear(10, CLASSES),
    ).double()


class OneStep:
    """One training step on random examples, of any objective, with a BatchNorm network."""

    def __init__(self, objective, dropout: float = 0.0):
        torch.manual_seed(1)
        self.model = nn.Sequential(batch_norm_net(), nn.Dropout(dropout)).double()
        self.objective = objective.double()
        y = torch.nn.functional.one_hot(torch.randint(CLASSES, (EXAMPLES,)), CLASSES).double()
        x, clean_x = torch.randn(2, EXAMPLES, 1, 4, 4).double()
        index = torch.arange(EXAMPLES)
        self.batch = Batch(
            x, y, index, torch.zeros(EXAMPLES, dtype=torch.bool), (0, 0, 0), torch.tensor(0.0)
        )
        self.batch = objective.before_step(self.batch, lambda x: Outputs(self.model(x)))
        self.theta = dict(self.model.named_parameters())
        self.phi = list(objective.meta_parameters())
        self.problem = Problem(
            outputs=lambda theta: (self.at(theta, x),),
            losses=lambda z: objective(Outputs(z[0]), self.batch),
            clean=lambda theta: cross_entropy(self.at(theta, clean_x), y.roll(1, 0)).mean(),
            moves=not objective.fresh_each_step,
            penalty=objective.penalty,
        )

    def at(self, theta, x):
        torch.manual_seed(7)
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        return functional_call(self.model, {**theta, **buffers}, (x,))

    def hypergradient(self, engine="forward", step=ALPHA, taken=None):
        found = hypergradient(self.problem, self.theta, self.phi, step, engine, taken)
        return torch.cat([g.flatten() for g in found])
