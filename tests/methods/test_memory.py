"""Losses that remember: early learning, truncation, values of a phase before; the memory itself."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from methods.losses.early_learning import EarlyLearning
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.losses.truncated_generalized_cross_entropy import TruncatedGeneralizedCrossEntropy
from methods.memory import remember
from methods.objective import Outputs, PhaseInfo, PoolOutputs, PreviousPhase
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits, p_of


def bound(objective, epochs=6):
    labels = torch.arange(EXAMPLES) % CLASSES
    objective.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount(), epochs=epochs))
    return objective.double()


def test_of_a_row_that_occurs_twice_the_last_value_counts():
    memory = torch.zeros(4, 2)
    remember(memory, torch.tensor([2, 0, 2, 2]), torch.arange(8.0).view(4, 2))
    assert memory.tolist() == [[2, 3], [0, 0], [6, 7], [0, 0]]


def test_early_learning_is_the_published_loop():
    """The loss of its equation 4, with t updated before it is used."""
    elr = bound(EarlyLearning(lam=3.0, beta=0.7))
    target = torch.zeros(EXAMPLES, CLASSES).double()
    for step in range(3):
        z = logits(1.0 + step).requires_grad_()
        p = F.softmax(z, dim=1).clamp(1e-4, 1 - 1e-4)
        now = p.detach() / p.detach().sum(1, keepdim=True)
        target = 0.7 * target + 0.3 * now
        labels = hard().y.argmax(1)
        expected = F.cross_entropy(z, labels) + 3.0 * (1 - (target * p).sum(1)).log().mean()
        found = elr(Outputs(z), hard()).mean()
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (found, expected)]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)
        with torch.no_grad():
            elr.after_step(Outputs(z.detach()), expected, hard())
        torch.testing.assert_close(elr.target, target)


def test_early_learning_without_its_term_is_cross_entropy():
    z = logits()
    expected = F.cross_entropy(z, hard().y.argmax(1), reduction="none")
    torch.testing.assert_close(bound(EarlyLearning(lam=0.0))(Outputs(z), hard()), expected)


def predict(z):
    labels = hard().y.argmax(1)
    return lambda pool=None: PoolOutputs(
        Outputs(z), torch.arange(EXAMPLES), labels, torch.zeros(EXAMPLES, dtype=torch.bool)
    )


def test_truncation_keeps_who_is_predicted_above_k():
    z, method = logits(2.0), bound(TruncatedGeneralizedCrossEntropy(k=0.3, warmup=0.5, every=2))
    plain = GeneralizedCrossEntropy(0.7)(Outputs(z), hard())
    kept = p_of(z) > 0.3
    assert 0 < kept.sum() < EXAMPLES
    for epoch, expected in ((2, plain), (3, plain * kept)):
        method.begin_epoch(epoch, predict(z))
        assert torch.equal(method(Outputs(z), hard()), expected)
    slope = torch.func.grad(lambda z: method(Outputs(z), hard()).sum())(z)
    assert (slope[~kept] == 0).all() and (slope[kept] != 0).any()
    method.begin_epoch(4, predict(-z))  # not its turn
    assert torch.equal(method.kept, kept)
    method.begin_epoch(5, predict(-z))
    assert not torch.equal(method.kept, kept)


def test_a_truncation_that_would_keep_nobody_does_not_happen():
    method = bound(TruncatedGeneralizedCrossEntropy(k=1.0, warmup=0.0))
    method.begin_epoch(0, predict(logits()))
    assert method.kept.all()


PATH = {"q": torch.tensor([0.6, 0.5, 0.4])}
FORGOTTEN = PreviousPhase(GeneralizedCrossEntropy(learn=True), predict(logits()), PATH)


def values(learn, epochs):
    method = bound(GeneralizedCrossEntropy(0.7, learn=learn), epochs)
    method.inherit(FORGOTTEN)
    seen = []
    for epoch in range(epochs):
        method.begin_epoch(epoch, predict(logits()))
        seen.append(float(method.q()))
        plain = GeneralizedCrossEntropy(seen[-1])(Outputs(logits()), hard())
        torch.testing.assert_close(method(Outputs(logits()), hard()), plain)
    assert not method.meta_parameters() and float(method.learned()["q"]) == seen[-1]
    return seen


def test_a_replayed_value_takes_the_path_of_the_phase_before_stretched_to_this_one():
    assert values("replay", 3) == pytest.approx([0.6, 0.5, 0.4])
    assert values("replay", 6) == pytest.approx([0.6, 0.6, 0.5, 0.5, 0.4, 0.4])
    assert values("replay", 1) == pytest.approx([0.6])


def test_a_frozen_value_is_the_last_of_the_phase_before():
    assert values("frozen", 3) == pytest.approx([0.4] * 3)


def test_the_replay_of_a_constant_is_frozen():
    constant = replace_path(torch.full((4,), 0.3))
    frozen, replayed = (bound(GeneralizedCrossEntropy(learn=how)) for how in ("frozen", "replay"))
    for method in (frozen, replayed):
        method.inherit(constant)
        method.begin_epoch(2, predict(logits()))
    assert torch.equal(*(m(Outputs(logits()), hard()) for m in (frozen, replayed)))


def replace_path(path):
    return FORGOTTEN._replace(learned={"q": path})


def test_a_value_that_was_not_learned_before_cannot_be_followed():
    method = bound(SymmetricCrossEntropy(0.5, 1.0, learn="replay"))
    with pytest.raises(ValueError, match="learn = 'replay': the phase before has learned no alpha"):
        method.inherit(FORGOTTEN)


def test_an_unknown_way_to_learn_is_named():
    with pytest.raises(ValueError, match="learn = 'freeze' must be true, false, 'frozen' or"):
        GeneralizedCrossEntropy(0.7, learn="freeze")


def test_only_rows_of_the_batch_are_remembered():
    method = bound(EarlyLearning())
    again = replace(hard(), index=torch.zeros(EXAMPLES, dtype=torch.long))
    with torch.no_grad():
        method.after_step(Outputs(logits()), torch.zeros(EXAMPLES), again)
    assert (method.target.sum(1) > 0).tolist() == [True] + [False] * (EXAMPLES - 1)
