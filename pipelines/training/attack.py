"""The protocol's attack on a model in eval mode: the same for all arms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.objective import Outputs, generator
from methods.threat import Threat
from pipelines.data.task import Split, Task
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.study.protocol import Protocol

BYTES = 255  # of the range of a pixel


def threat_of(protocol: Protocol, task: Task) -> Threat | None:
    """What the protocol's attack may do to the normalised inputs of a task.

    A feature that is constant has no deviation, and stays as it is.
    """
    attack, std = protocol.attack, task.std
    if attack is None:
        return None
    if len(task.input_shape) == 3:
        unit, low, high = BYTES / std, -task.mean / std, (BYTES - task.mean) / std
    else:
        first, parts = task.train.x[:1], task.train.x.split(EVALUATION_BATCH)
        unit = torch.stack([(part != first).any(dim=0) for part in parts]).any(dim=0).to(std)
        low, high = (torch.full_like(std, end) for end in (-math.inf, math.inf))
    return Threat(attack.epsilon, attack.norm, unit, low, high)


class ProtocolAttack:
    """Perturbs the examples of a split so that a model is wrong about them, if it can."""

    def __init__(self, protocol: Protocol, task: Task) -> None:
        threat = threat_of(protocol, task)
        assert protocol.attack is not None and threat is not None
        self.attack, self.task, self.threat = protocol.attack, task, threat
        self.seed, self.batch_size = protocol.seed, protocol.schedule.batch_size

    def outputs(self, network: Network, split: Split, name: str) -> Outputs:
        """The network's outputs in eval mode on the perturbed examples of a split of that name."""
        return network.evaluate(self._perturbed(network, split, name))

    def _perturbed(self, network: Network, split: Split, name: str) -> Iterator[Tensor]:
        """Batches, of the size of training's, whose memory suffices for a gradient.

        Where an attack starts depends on the study's seed and on the example's place alone: it is
        the same in all epochs, trials and arms.
        """
        parts = zip(split.x.split(self.batch_size), split.y.split(self.batch_size), strict=True)
        for number, (stored, labels) in enumerate(parts):
            x, start = self.task.normalise(stored), None
            if self.attack.start == "random":
                start = self.threat.random(x, generator(self.seed, "attack", name, number))

            def loss(inputs: Tensor, y: Tensor = labels) -> Tensor:
                return F.nll_loss(_log_probabilities(network(inputs)), y, reduction="sum")

            yield self.threat.ascend(x, loss, self.attack.stride, self.attack.steps, start)


def _log_probabilities(outputs: Outputs) -> Tensor:
    """Of the network, or of the mean of two networks' probabilities but for a constant, [B, K]."""
    each = torch.stack([o.logits.log_softmax(dim=1) for o in outputs.each()])
    return each.logsumexp(dim=0)
