"""Batches and logits that tests of methods share."""

import torch
from torch.nn import functional as F

from methods.objective import Batch, Outputs
from methods.threat import Threat

CLASSES, EXAMPLES = 5, 7
THREAT = Threat(0.1, "linf", torch.ones(1), torch.full((1,), -1.0), torch.ones(1))


def logits(scale=1.0):
    torch.manual_seed(0)
    return scale * torch.randn(EXAMPLES, CLASSES, dtype=torch.float64)


def batch_of(y):
    n = len(y)
    flags = torch.zeros(n, dtype=torch.bool)
    return Batch(torch.zeros(n, 1), y, torch.arange(n), flags, (3, 0, 0, 0), torch.tensor(0.5))


def hard(labels=None):
    labels = torch.arange(EXAMPLES) % CLASSES if labels is None else labels
    return batch_of(F.one_hot(labels, CLASSES).double())


def losses(objective, z, batch=None):
    batch = batch or hard()
    objective = objective.double()
    batch = objective.before_step(batch, model_for(objective, z))
    return objective(outputs_for(objective, z, batch), batch)


def p_of(z):
    return z.softmax(1).gather(1, hard().y.argmax(1, keepdim=True)).squeeze(1)


FEATURES = 4


def outputs_for(objective, z, batch=None):
    """The logits as a model's outputs, with features where the method needs them.

    Once more for a batch that has them all twice.
    """
    z = z if batch is None else z.repeat(len(batch.y) // len(z), 1)
    torch.manual_seed(1)
    features = torch.randn(len(z), FEATURES, dtype=z.dtype)
    outputs = Outputs(z, features if objective.needs_features else None)
    return outputs if objective.networks == 1 else outputs._replace(other=Outputs(z.roll(1, 0)))


def model_for(objective, z):
    """A model with these outputs, whatever the inputs: their gradient is 0."""
    return lambda x: outputs_for(objective, z + 0 * x.sum())
