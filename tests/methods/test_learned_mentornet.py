"""MentorNet that is learned: what it keeps of a student, and what it makes of it."""

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Outputs, PhaseInfo, PreviousPhase, cross_entropy
from methods.weighting.learned_mentornet import TIMES, LearnedMentorNet, RecordedStudent
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits

ROWS = 200


def bound(method, rows=ROWS):
    torch.manual_seed(0)
    labels = torch.arange(rows) % CLASSES
    method.bind(PhaseInfo(rows, CLASSES, labels, labels.bincount()))
    return method


def trusted(progress=0.5):
    given = replace(hard(), progress=torch.tensor(progress))
    return replace(given, trusted=torch.arange(EXAMPLES) < 4)


def test_a_share_of_the_trusted_examples_has_a_wrong_label_and_the_others_keep_theirs():
    method = bound(RecordedStudent(rate=0.4))
    labels = torch.arange(ROWS) % CLASSES
    assert torch.equal(method.given != labels, method.wrong)
    assert abs(method.wrong.double().mean() - 0.4) < 4 * (0.24 / ROWS) ** 0.5
    method.wrong[:2], method.given[:2] = True, (labels[:2] + 1) % CLASSES
    y = method.before_step(trusted(), Outputs).y
    assert torch.equal(y[:2].argmax(1), method.given[:2])
    assert torch.equal(y[4:], hard().y[4:])  # not trusted


def test_it_keeps_losses_of_trusted_examples_by_the_part_of_the_phase():
    method = bound(RecordedStudent()).double()
    batch, z = method.before_step(trusted(progress=0.5), Outputs), logits()
    losses = cross_entropy(z, batch.y)
    threshold = method._next(losses)
    method.after_step(Outputs(z), losses, batch)
    there = method.seen[:, :, 0] >= 0
    assert there.sum() == 4 and there[:4, TIMES // 2].all()
    kept = method.seen[:4, TIMES // 2].double()
    expected = torch.stack([losses[:4], (losses - threshold)[:4]], dim=1)
    torch.testing.assert_close(kept, expected, rtol=1e-5, atol=1e-5)


def student(gap):
    """One that loses `gap` more on wrong labels, at any time."""
    method = bound(RecordedStudent(rate=0.5))
    noise = 0.3 * torch.randn(ROWS, TIMES, generator=torch.Generator().manual_seed(1))
    losses = 1 + gap * method.wrong[:, None] + noise
    method.seen.copy_(torch.stack([losses, losses - 1], dim=2))
    return method


def taught_by(method):
    mentor = bound(LearnedMentorNet())
    mentor.inherit(PreviousPhase(method, lambda pool=None: pytest.fail("not asked"), {}))
    return mentor


def test_the_mentor_tells_right_from_wrong_where_losses_do():
    one = student(gap=2.0)
    mentor = taught_by(one)
    x = torch.cat([one.seen[:, 10], torch.full((ROWS, 1), 0.5)], dim=1)
    v = mentor.mentor((x - mentor.shift) / mentor.scale).squeeze(1).sigmoid()
    assert roc_auc_score(~one.wrong, v) > 0.99
    weights = mentor.weights(torch.tensor([0.5, 1.0, 3.0, 4.0]), torch.tensor(0.5))
    assert weights[:2].min() > 0.9 and weights[2:].max() < 0.1  # it falls in the loss


def test_where_losses_tell_nothing_every_example_weighs_about_the_share_of_right_labels():
    one = student(gap=0.0)
    weights = taught_by(one).weights(torch.tensor([0.7, 1.0, 1.3]), torch.tensor(0.5))
    assert (weights - (~one.wrong).double().mean()).abs().max() < 0.2


def test_before_the_curriculum_begins_and_without_a_fit_it_is_cross_entropy():
    plain = cross_entropy(logits(), hard().y)
    early = replace(hard(), progress=torch.tensor(0.1))
    late = replace(hard(), progress=torch.tensor(0.9))
    for mentor, batch in ((taught_by(student(2.0)), early), (bound(LearnedMentorNet()), late)):
        torch.testing.assert_close(mentor.double()(Outputs(logits()), batch), plain)


def test_weights_have_no_gradient():
    mentor, z = taught_by(student(2.0)).double(), logits().requires_grad_()
    batch = replace(hard(), progress=torch.tensor(0.9))
    losses = cross_entropy(z, batch.y)
    weights = mentor.weights(losses.detach(), batch.progress)
    found = torch.autograd.grad(mentor(Outputs(z), batch).sum(), z)[0]
    torch.testing.assert_close(found, torch.autograd.grad((weights * losses).sum(), z)[0])


def test_it_learns_from_nothing_but_such_a_student():
    with pytest.raises(ValueError, match="RecordedStudent"):
        taught_by(CrossEntropy())
