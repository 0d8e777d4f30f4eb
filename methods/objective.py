"""The seam between what is compared and what runs it.

A method maps a model's outputs to one loss per example. It owns neither model nor optimizer nor
step, so all methods share them by construction. Its meta-parameters, if it has any, learn from the
clean loss after a look-ahead step.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from methods.threat import Threat

Key = tuple[int | str, ...]
Pool = Literal["train", "train+meta", "meta", "meta+val", "train+unlabelled", "unlabelled"]


def seed_of(*key: int | str) -> int:
    """A seed in [0, 2^63) that depends on every part of the key, and on nothing else."""
    text = "/".join(map(str, key)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A fresh CPU generator for a key.

    Randomness is keyed, never consumed, so a resumed trial repeats it exactly.
    """
    return torch.Generator().manual_seed(seed_of(*key))


class Outputs(NamedTuple):
    """What a model gives for a batch: logits [B, K], and features [B, D] where they are needed.

    other: the same of the second network, where a method trains two.
    """

    logits: Tensor
    features: Tensor | None = None
    other: Outputs | None = None

    def each(self) -> list[Outputs]:
        """Those of the one network, or of both."""
        return [self] if self.other is None else [self, *self.other.each()]

    def detach(self) -> Outputs:
        """The same values, without their graph."""
        features = None if self.features is None else self.features.detach()
        other = None if self.other is None else self.other.detach()
        return Outputs(self.logits.detach(), features, other)


@dataclass(frozen=True)
class Batch:
    """Training examples of one step.

    x [B, ...]; y [B, K] label distribution (one-hot unless smoothed or mixed; of an example without
    a label 0); index [B] row in the data set; trusted [B] whether the example came from the clean
    pool; key names the step, and is the source of all randomness; progress in [0, 1) of the phase,
    a scalar on the device.
    augment: the same stored examples augmented anew by the protocol, [B, ...], drawn under the
    step's key and a number; None where the protocol augments nothing.
    """

    x: Tensor
    y: Tensor
    index: Tensor
    trusted: Tensor
    key: Key
    progress: Tensor
    augment: Callable[[int], Tensor] | None = None


@dataclass(frozen=True)
class PhaseInfo:
    """What a method may know before its phase starts.

    rows: N; classes: K; labels [N]: as observed, -1 outside of the pool and where there is none;
    counts [K]: in the pool; features: D, the width of the model's features; epochs: of the phase;
    threat: what the protocol's attack may do to an input, where there is one; truth [N]: the true
    labels, -1 outside of the pool, for an oracle alone; inputs: from rows [n] of the pool to their
    normalised inputs [n, D], where a method needs them; input_shape: of one; batch_size: the
    largest.
    """

    rows: int
    classes: int
    labels: Tensor
    counts: Tensor
    features: int = 0
    epochs: int = 1
    threat: Threat | None = None
    truth: Tensor | None = None
    inputs: Callable[[Tensor], Tensor] | None = None
    input_shape: tuple[int, ...] = ()
    batch_size: int = 1


class PoolOutputs(NamedTuple):
    """A model's outputs in eval mode on a pool's examples, each once.

    index [n]: rows in the data set; y [n]: observed labels, -1 where there is none; trusted [n]: as
    in Batch.
    """

    outputs: Outputs
    index: Tensor
    y: Tensor
    trusted: Tensor


class Predict(Protocol):
    """PoolOutputs on a pool as the model is now; by default on the phase's own pool."""

    def __call__(self, pool: Pool | None = None) -> PoolOutputs: ...


class PreviousPhase(NamedTuple):
    """What a phase may take over from the one before.

    objective: its own; predict: with its model, whose weights may be gone afterwards;
    learned: what its objective's `learned` said at the end of each epoch, [epochs, ...] by name.
    """

    objective: Objective
    predict: Predict
    learned: dict[str, Tensor]


ModelCall = Callable[[Tensor], Outputs]


class Objective(nn.Module, ABC):
    """A per-example training objective. Subclasses are final.

    Memory goes into registered buffers, and is changed in place: then it is part of a snapshot, and
    of steps that are recorded once and replayed (pipelines/training/cuda_graph.py).
    """

    needs_features: ClassVar[bool] = False
    #: How many networks it trains side by side: with 2, outputs have `other`.
    networks: ClassVar[int] = 1
    #: Whether it trains against the attack of the protocol, which therefore must have one.
    needs_threat: ClassVar[bool] = False
    #: Whether it needs the inputs of its pool as vectors: of tables and embeddings, no images.
    needs_inputs: ClassVar[bool] = False
    #: Whether it asks for predictions on clean examples that are not in its pool: they are counted.
    reads_clean: ClassVar[bool] = False
    #: Whether it reads the true labels of its training examples: an upper bound, which nobody has.
    #: A class or its constructor says so.
    oracle: bool = False
    #: Whether its pool may have examples without a label.
    uses_unlabelled: ClassVar[bool] = False
    #: The meta-parameters are fresh at every step and zero in the look-ahead, which therefore
    #: moves nothing (L2RW).
    fresh_each_step: ClassVar[bool] = False

    @abstractmethod
    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Losses [B], never reduced; pure.

        The loss of a soft target is its expectation over the target.
        """

    def meta_parameters(self) -> Sequence[Tensor]:
        """What learns from the clean loss."""
        return ()

    @property
    def meta_learns(self) -> bool:
        """Whether it learns from the clean loss, once it is bound."""
        return self.fresh_each_step or bool(self.meta_parameters())

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """R(theta; phi): a term of the training loss in the model's parameters, a scalar; pure.

        parameters: all of the model's that are trained, by name.
        """
        return None

    def train_parameters(self) -> Sequence[Tensor]:
        """What joins the model's optimizer and learns from the training loss: a noise layer.

        It is not decayed.
        """
        return ()

    def meta_step(self, grads: Sequence[Tensor], optimizer: torch.optim.Optimizer | None) -> None:
        """Move the meta-parameters along their hypergradients."""
        assert optimizer is not None
        for parameter, grad in zip(self.meta_parameters(), grads, strict=True):
            parameter.grad = grad
        optimizer.step()

    def bind(self, info: PhaseInfo) -> None:
        """Called once, before training: allocate buffers, and networks that need the widths.

        After it, `meta_parameters` and `train_parameters` are what they will be.
        """

    def inherit(self, previous: PreviousPhase) -> None:
        """Called once at a change of phase, after `bind` and before the model changes.

        Fill buffers: a trial that is resumed gets them from its snapshot, and this is not called
        again. Without gradient.
        """

    @property
    def extra_passes(self) -> int:
        """Passes that `before_step` takes of each example.

        A forward counts 1, and so does a backward that ends at the inputs.
        """
        return 0

    @property
    def replays(self) -> int:
        """How many steps in a row take the same examples; so many epochs go over the pool once."""
        return 1

    def begin_epoch(self, epoch: int, predict: Predict) -> Tensor | None:
        """Called before an epoch, without gradient; may return sampling weights [N], by row.

        Then the epoch's examples are drawn from the pool with replacement. A trial that goes on in
        the middle of an epoch does not call it again.
        """
        return None

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        """Fresh per-step weights, mixup, relabelling.

        `model` is differentiable and leaves no trace in BatchNorm; its dropout masks are those of
        the training forward. Where the inputs that are given back require a gradient, they have
        that of the training loss in `after_step`, at no cost but their own.
        """
        return batch

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        """Memory of past predictions, running percentiles; called without gradient."""

    def predict(self, outputs: Outputs) -> Tensor:
        """Class probabilities [B, K], of two networks their mean: what accuracy is computed on."""
        first, *others = (o.logits.softmax(dim=1) for o in outputs.each())
        return sum(others, first) / (1 + len(others)) if others else first

    def learned(self) -> dict[str, Tensor]:
        """What a person wants to watch, by name: learned scalars, and curves (1-d)."""
        return {}


def expectation(target: Tensor, losses: Tensor) -> Tensor:
    """sum_k y_k loss_k: [B, K], [B, K] -> [B]."""
    return (target * losses).sum(dim=1)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-sum_k y_k log p_k of logits [B, K] and label distribution [B, K]: [B]."""
    return -expectation(target, logits.log_softmax(dim=1))


def likeliest(scores: Tensor) -> Tensor:
    """One-hot rows [B, K] of the largest scores; the host does not wait for the device to tell."""
    return torch.zeros_like(scores).scatter(1, scores.argmax(dim=1, keepdim=True), 1.0)


def rectified(weights: Tensor) -> Tensor:
    """Weights [B] with negative entries cut off, then scaled to sum 1.

    All zero where nothing is positive; the host does not wait for the device to tell.
    """
    positive = weights.clamp_min(0)
    total = positive.sum()
    return positive / torch.where(total > 0, total, 1.0)
