"""A transition matrix between a model of true labels and the noisy labels it is trained on."""

from __future__ import annotations

from torch import Tensor

from methods.objective import expectation

SMALLEST = 1e-6  # of a transition probability: its logarithm stays finite


def stochastic(rows: Tensor) -> Tensor:
    """Rows [K, K] with entries of at least SMALLEST, scaled to sum 1."""
    positive = rows.clamp_min(SMALLEST)
    return positive / positive.sum(dim=1, keepdim=True)


def corrected_cross_entropy(logits: Tensor, target: Tensor, channel: Tensor) -> Tensor:
    """-sum_j y_j log sum_i p_i T_ij of logits [B, K] and noisy labels' distribution [B, K]: [B].

    channel [K, K]: T_ij = P(noisy label j | true label i), none of them 0. Patrini et al. 2017,
    "forward".
    """
    joint = logits.log_softmax(dim=1)[:, :, None] + channel.log()
    return -expectation(target, joint.logsumexp(dim=1))
