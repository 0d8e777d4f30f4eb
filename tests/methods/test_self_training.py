"""Self-training: its loss, its labels, and the pool that it asks for."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from methods.objective import Outputs, PhaseInfo, PoolOutputs, PreviousPhase
from methods.semi_supervised.robust_self_training import RobustSelfTraining
from methods.semi_supervised.self_training import SelfTraining
from pipelines.errors import UserError
from pipelines.study.arms import resolve_arm
from pipelines.training.rehearsal import rehearse
from pipelines.training.trial import TrainingRun
from tests.conftest import in_phase, small_study, training_spec, under
from tests.methods.cases import CLASSES, EXAMPLES, THREAT, hard, logits, p_of
from tests.support.trials import run_to_end

CPU = torch.device("cpu")
WITHOUT = torch.tensor([4, 1])  # rows without a label
LABELS = torch.arange(EXAMPLES) % CLASSES


class Previous:
    """The phase before, which predicts class 2 for one example and class 0 for the other."""

    def predict(self, outputs):
        return outputs.logits.softmax(1)


def taught(weight=0.5, **robust):
    objective = RobustSelfTraining(weight, **robust) if robust else SelfTraining(weight)
    hidden = LABELS.index_fill(0, WITHOUT, -1)
    counts = hidden[hidden >= 0].bincount()
    objective.bind(PhaseInfo(EXAMPLES, CLASSES, hidden, counts, threat=THREAT))
    z = 3 * one_hot(torch.tensor([2, 0]), CLASSES).double()
    seen = PoolOutputs(Outputs(z), WITHOUT, torch.full((2,), -1), torch.zeros(2).bool())
    pools = {"unlabelled": seen}
    objective.inherit(PreviousPhase(Previous(), pools.__getitem__, {}))
    return objective.double()


def batch():
    y = hard().y.index_fill(0, WITHOUT, 0)
    return replace(hard(), y=y)


def test_examples_without_a_label_get_the_class_that_the_phase_before_predicts():
    labels = LABELS.clone()
    labels[WITHOUT] = torch.tensor([2, 0])
    relabelled = taught().before_step(batch(), lambda x: pytest.fail("asked"))
    assert torch.equal(relabelled.y, one_hot(labels, CLASSES).double())
    assert torch.equal(batch().y, hard().y.index_fill(0, WITHOUT, 0))


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_the_mean_loss_is_the_published_weighted_mean(weight):
    objective, z = taught(weight), logits()
    given = objective.before_step(batch(), lambda x: None)
    ce = -(given.y * z.log_softmax(1)).sum(1)
    without = torch.zeros(EXAMPLES).index_fill(0, WITHOUT, 1).bool()
    expected = ((1 - weight) * ce[~without].sum() + weight * ce[without].sum()) / (
        (1 - weight) * (~without).sum() + weight * without.sum()
    )
    torch.testing.assert_close(objective(Outputs(z), given).mean(), expected)


def test_without_any_it_is_cross_entropy_whatever_the_weight():
    for weight in (0.0, 0.3):
        objective = SelfTraining(weight)
        objective.bind(PhaseInfo(EXAMPLES, CLASSES, LABELS, LABELS.bincount()))
        given = objective.before_step(hard(), lambda x: None)
        torch.testing.assert_close(objective(Outputs(logits()), given), -p_of(logits()).log())


def test_a_batch_without_weight_has_loss_zero():
    objective, given = taught(0.0), taught(0.0).before_step(batch(), lambda x: None)
    index = WITHOUT.repeat(4)[:EXAMPLES]
    assert (objective(Outputs(logits()), replace(given, index=index)) == 0).all()


def test_the_student_trains_on_the_teachers_predictions():
    run = TrainingRun(training_spec("self_training", small_study(["self_training"])), CPU)
    steps = run.steps()
    while run.phase_index == 0:
        teacher = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
        next(steps)
    pseudo, unlabelled = run.objective.pseudo_labels, run.task.unlabelled
    run.model.load_state_dict(teacher)
    with torch.no_grad():
        predicted = run.model(run.task.normalise(unlabelled.x)).argmax(1)
    assert torch.equal(pseudo[unlabelled.index], predicted)
    assert (pseudo >= 0).sum() == len(unlabelled) == 40


def test_hidden_labels_are_seen_by_nobody():
    """Whatever they were, a trial is the same; truth is there to look at alone."""
    spec = training_spec("self_training", small_study(["self_training"]))
    rows = []
    for shift in (0, 1):
        run = TrainingRun(spec, CPU)
        run.task = copy.deepcopy(run.task)
        run.task.unlabelled.truth.add_(shift)
        rows.append([e.row for e in run.steps() if e.row])
    assert rows[0] == rows[1]


def test_other_arms_do_not_use_them():
    """They are those of a study with fewer training examples, in the same steps."""
    study = small_study(["ce", "self_training"])
    run = TrainingRun(training_spec("ce", study), CPU)
    assert not set(run.training.pool.index.tolist()) & set(run.task.unlabelled.index.tolist())
    steps = [len(run_to_end(training_spec(arm, study))[0]) for arm in ("ce", "self_training")]
    assert steps == [3, 6]


def test_a_method_that_needs_labels_is_refused_the_pool():
    spec = training_spec("ce")
    with pytest.raises(
        UserError, match=r"pool = 'train\+unlabelled': .*CrossEntropy needs a label"
    ):
        resolve_arm(
            "mine",
            {"mine": {"about": "a", "kind": "plain", "phases": [
                in_phase(spec, pool="train+unlabelled").phases[0].model_dump()]}},
        )  # fmt: skip


def test_a_study_without_such_examples_refuses_the_arm():
    spec = training_spec("self_training", small_study(["self_training"]))
    with pytest.raises(UserError, match=r"splits\.unlabelled must be at least 1"):
        rehearse(under(spec, {"splits.unlabelled": 0}))


# ---- with an attack

W = torch.linspace(-1, 1, 3 * CLASSES, dtype=torch.float64).view(CLASSES, 3)


def linear(x):
    return Outputs(x @ W.T)


def inputs():
    return replace(batch(), x=0.5 * torch.linspace(-1, 1, 3 * EXAMPLES).double().view(-1, 3))


def test_it_sees_each_input_and_one_of_higher_loss_within_the_attacks_reach():
    given = taught(beta=0.5).before_step(inputs(), linear)
    relabelled = taught().before_step(inputs(), linear)
    natural, perturbed = given.x.chunk(2)
    assert torch.equal(natural, inputs().x)
    for name in ("y", "index", "trusted"):
        assert torch.equal(getattr(given, name), torch.cat([getattr(relabelled, name)] * 2)), name
    assert (perturbed - natural).abs().amax() <= THREAT.epsilon + 1e-12
    ce = -(given.y * linear(given.x).logits.log_softmax(1)).sum(1)
    assert (ce[EXAMPLES:] > ce[:EXAMPLES]).all()


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_its_mean_loss_mixes_that_of_self_training_on_both(beta):
    weights = {"weight": 0.25, "robust_weight": 0.75}
    robust = taught(beta=beta, **weights)
    given = robust.before_step(inputs(), linear)
    natural, perturbed = linear(given.x).logits.chunk(2)
    relabelled = taught().before_step(inputs(), linear)
    plain = taught(0.25)(Outputs(natural), relabelled).mean()
    attacked = taught(0.75)(Outputs(perturbed), relabelled).mean()
    expected = (1 - beta) * plain + beta * attacked
    torch.testing.assert_close(robust(linear(given.x), given).mean(), expected)


@pytest.mark.parametrize("steps", [0, 2.5])
def test_the_number_of_its_steps_is_a_whole_one(steps):
    with pytest.raises(ValueError, match="must be a whole number from 1 on"):
        RobustSelfTraining(steps=steps)
