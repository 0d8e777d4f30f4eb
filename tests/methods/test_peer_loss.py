"""Peer loss: its formula, its warm-up, and predictions that see no input."""

from dataclasses import replace

import torch

from methods.correction.peer_loss import PeerLoss
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits

LABELS = hard().y.argmax(1)


def at(progress):
    return replace(hard(), progress=torch.tensor(progress))


def test_the_loss_of_two_other_examples_is_taken_away():
    p = logits().softmax(1) + 1e-5
    rows = range(EXAMPLES)
    own = [-p[i, LABELS[i]].log() for i in rows]
    peer = [-p[(i + 1) % EXAMPLES, LABELS[(i + 2) % EXAMPLES]].log() for i in rows]
    found = PeerLoss(0.95, 0.4)(Outputs(logits()), at(0.9))
    torch.testing.assert_close(found, torch.stack(own) - 0.95 * torch.stack(peer))


def test_before_it_counts_the_loss_is_cross_entropy_within_its_bound():
    found = PeerLoss(1.0, 0.4)(Outputs(logits()), at(0.1))
    torch.testing.assert_close(found, cross_entropy(logits(), hard().y), rtol=0, atol=1e-3)


def test_what_a_model_says_whatever_the_input_gains_nothing():
    """At alpha = 1, over a batch: what is earned by the labels' frequencies is taken away."""
    z = logits()[:1].expand(EXAMPLES, CLASSES)
    found = PeerLoss(1.0)(Outputs(z), at(0.9)).sum()
    torch.testing.assert_close(found, torch.zeros(()).double(), rtol=0, atol=1e-12)
