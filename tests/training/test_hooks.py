"""What an objective is told, and when: facts, predictions, the phase before."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.objective import Objective, Outputs, cross_entropy
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.arms import resolve_arm
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file

CPU = torch.device("cpu")


@pytest.fixture
def study():
    return small_study(["ce", "finetune"])


class Remembering(Objective):
    """Uses every hook: features, memory, sampling weights, own prediction, a train parameter."""

    needs_features = True

    reads_clean = True

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(10))

    def bind(self, info):
        self.known_sizes = (info.features, info.epochs)
        self.register_buffer("memory", torch.zeros(info.rows, info.classes))
        self.register_buffer("known", info.labels >= 0)
        self.register_buffer("labels", info.labels)
        self.register_buffer("begun", torch.zeros((), dtype=torch.int64))

    def train_parameters(self):
        return [self.bias]

    def begin_epoch(self, epoch, predict):
        assert self.known_sizes == (16, 3)
        outputs, index, y, trusted = predict("meta")
        assert outputs.features.shape == (50, 16) and trusted.all()
        assert (self.labels[index] == -1).all() and len(y) == 50  # meta is no part of its pool
        own = predict()
        assert torch.equal(self.labels[own.index], own.y) and not own.trusted.any()
        self.begun += 1
        assert self.begun == epoch + 1  # once an epoch, also where a trial goes on in its middle
        return torch.arange(len(self.labels)).float() if epoch == 1 else None

    def before_step(self, batch, model):
        assert model(batch.x).logits.shape == (len(batch.y), 10)
        return batch

    def forward(self, outputs, batch):
        assert outputs.features.shape == (len(batch.y), 16)
        smooth = 0.9 * batch.y + 0.1 * self.memory[batch.index]
        return cross_entropy(outputs.logits + self.bias, smooth)

    def after_step(self, outputs, losses, batch):
        assert not losses.requires_grad and not outputs.logits.requires_grad
        self.memory[batch.index] = outputs.logits.softmax(1)

    def predict(self, outputs: Outputs):
        return (outputs.logits + self.bias).softmax(1)


def test_hooks_are_called_and_their_state_resumes_exactly(study):
    spec = training_spec("ce", study)
    spec = in_phase(spec, method=f"{__name__}:Remembering")
    rows, result = run_to_end(spec)
    events = list(islice(run_trial(spec), 4))
    more, again = run_to_end(spec, through_a_file(events[-1].snapshot()))
    assert [e.row for e in events if e.row] + more == rows
    assert comparable(again) == comparable(result)
    finished = TrainingRun(spec, torch.device("cpu"))
    list(finished.steps())
    assert finished.objective.bias.abs().max() > 0
    seen = finished.objective.memory.sum(1) > 0
    assert torch.equal(seen, finished.objective.known)


class Heir(Objective):
    """Takes over all that it is offered."""

    inherited = 0

    def bind(self, info):
        self.register_buffer("mean_p", torch.zeros(info.classes))
        self.register_buffer("path", torch.zeros(3))

    def inherit(self, previous):
        type(self).inherited += 1
        assert isinstance(previous.objective, GeneralizedCrossEntropy)
        outputs, index, y, trusted = previous.predict()
        assert not outputs.logits.requires_grad and not trusted.any()
        assert index.unique().numel() == len(index) == len(y)
        self.mean_p.copy_(outputs.logits.softmax(1).mean(0))
        self.path.copy_(previous.learned["q"])

    def forward(self, outputs, batch):
        return cross_entropy(outputs.logits, 0.9 * batch.y + 0.1 * self.mean_p)


def inheriting(study, start="continue"):
    """Learned GCE, then a phase that looks back at it."""
    [learned] = training_spec("gce_learned", study).phases
    return in_phase(
        replace(training_spec("ce", study), phases=(learned, learned)),
        1,
        name="heir",
        method=f"{__name__}:Heir",
        hyperparameters={},
        start=start,
    )


def test_a_phase_inherits_once_and_keeps_what_it_took(study):
    spec = inheriting(study)
    Heir.inherited = 0
    rows, result = run_to_end(spec)
    assert Heir.inherited == 1
    path = [row["learned/q"] for row in rows[:3]]
    assert len(set(path)) == 3
    for steps in (5, 8):  # of 6: two in each epoch, in the first and in the second phase
        state = list(islice(run_trial(spec), steps))[-1].snapshot()
        Heir.inherited = 0
        more, again = run_to_end(spec, through_a_file(state))
        assert rows[-len(more) :] == more and comparable(again) == comparable(result)
        assert Heir.inherited == (state["position"][0] == 0)
        trial = TrainingRun(spec, CPU)
        trial.load_state_dict(state)
        if state["position"][0] == 1:
            assert trial.objective.path.tolist() == pytest.approx(path)
            assert trial.objective.mean_p.sum() == pytest.approx(1)


@pytest.mark.parametrize("start", ["fresh", "initial", "continue"])
def test_a_phase_starts_from_new_weights_the_first_ones_or_those_there_are(study, start):
    trial = TrainingRun(in_phase(training_spec("finetune", study), 1, start=start), CPU)
    first = next(trial.model.parameters()).clone()
    with torch.no_grad():
        for parameter in trial.model.parameters():
            parameter.fill_(0.5)
    trial.next_phase()
    now = next(trial.model.parameters())
    assert torch.equal(now, first) == (start == "initial")
    assert bool((now == 0.5).all()) == (start == "continue")


def test_two_networks_start_from_different_weights_the_first_from_those_of_one():
    one, two = (TrainingRun(training_spec(arm), CPU) for arm in ("ce", "coteaching"))
    first, second = (next(member.parameters()) for member in two.model.members)
    assert torch.equal(first, next(one.model.parameters())) and not torch.equal(first, second)


def test_a_phase_cannot_go_on_with_networks_that_are_not_there():
    phases = [training_spec(arm).phases[0].model_dump() for arm in ("ce", "coteaching")]
    phases[1]["name"] = "both"
    entry = {"about": "two", "kind": "tuned loss", "phases": phases}
    with pytest.raises(UserError, match=r"phase 'both': start = 'continue': .* trains 2 network"):
        resolve_arm("two", {"two": entry})
    phases[1]["start"] = "initial"
    assert resolve_arm("two", {"two": entry})


def test_what_a_method_chose_for_an_epoch_holds_when_the_epoch_is_resumed(study):
    """It chose with the model of the epoch's beginning, which has moved since."""
    truncated = (
        "methods.losses.truncated_generalized_cross_entropy:TruncatedGeneralizedCrossEntropy"
    )
    each_epoch = {"k": 0.12, "warmup": 0.0, "every": 1}
    spec = in_phase(training_spec("ce", study), method=truncated, hyperparameters=each_epoch)
    rows, result = run_to_end(spec)
    for steps in range(1, 9):
        events = list(islice(run_trial(spec), steps))
        more, again = run_to_end(spec, through_a_file(events[-1].snapshot()))
        assert [e.row for e in events if e.row] + more == rows
        assert comparable(again) == comparable(result)


class Drawn(Remembering):
    """Draws examples by how sure the model was of them; the weights are changed in place."""

    def bind(self, info):
        super().bind(info)
        self.register_buffer("sure", torch.zeros(info.rows))

    def begin_epoch(self, epoch, predict):
        outputs, index, *_ = predict()
        self.sure[index] = outputs.logits.softmax(1).amax(1)
        return self.sure

    def after_step(self, outputs, losses, batch):
        self.sure[batch.index] = 0.0


def test_the_examples_that_a_method_drew_are_those_of_the_epoch_when_it_is_resumed(study):
    spec = in_phase(training_spec("ce", study), method=f"{__name__}:Drawn")
    rows, _ = run_to_end(spec)
    for steps in (1, 2, 5):
        events = list(islice(run_trial(spec), steps))
        more, _ = run_to_end(spec, through_a_file(events[-1].snapshot()))
        assert [e.row for e in events if e.row] + more == rows


class Unsaid(Objective):
    """Looks at clean examples, and does not say so."""

    def begin_epoch(self, epoch, predict):
        predict("meta")

    def forward(self, outputs, batch):
        return cross_entropy(outputs.logits, batch.y)


def test_clean_examples_that_nobody_would_count_are_refused(study):
    spec = in_phase(training_spec("ce", study), method=f"{__name__}:Unsaid")
    with pytest.raises(UserError, match=r"predictions on meta .* reads_clean = True"):
        run_to_end(spec)


class Oracle(Objective):
    """Knows the true labels of its pool."""

    oracle = True

    def bind(self, info):
        assert info.truth is None or (info.truth >= 0).sum() == (info.labels >= 0).sum()
        self.truth = info.truth

    def forward(self, outputs, batch):
        return cross_entropy(outputs.logits, batch.y)


def test_an_oracle_knows_the_true_labels_of_its_pool_and_others_do_not(study):
    spec = in_phase(training_spec("ce", study), method=f"{__name__}:Oracle")
    run = TrainingRun(spec, CPU)
    train = run.task.train
    assert torch.equal(run.objective.truth[train.index], train.truth)
    assert (train.truth != train.y).any()


@pytest.mark.parametrize(
    ("known", "kind", "reason"),
    [
        (False, "symmetric", r"as an oracle: of 1 of \d+ they are not known"),
        (True, "none", "the data says of none that its label is wrong"),
    ],
)
def test_an_oracle_is_refused_where_the_truth_is_not_known(study, known, kind, reason):
    spec = in_phase(training_spec("ce", study), method=f"{__name__}:Oracle")
    spec = under(spec, {"noise.kind": kind, "noise.rate": 0.4 if kind == "symmetric" else 0.0})
    task = prepare(spec.protocol, spec.data_seed)
    truth = task.train.truth.clone()
    truth[0] = truth[0] if known else -1
    with pytest.raises(UserError, match=reason):
        TrainingRun(spec, CPU, task=replace(task, train=replace(task.train, truth=truth)))


def test_a_method_that_needs_vectors_has_those_of_its_pool_and_is_refused_on_images(study):
    run = TrainingRun(training_spec("smote"), CPU)
    train = run.task.train
    found = run.objective.inputs(train.index[:5])
    assert torch.equal(found, run.task.normalise(train.x[:5]))
    spec = in_phase(training_spec("ce", study), method="methods.weighting.smote:Smote")
    with pytest.raises(UserError, match=r"Smote needs inputs that are vectors.* \[1, 8, 8\]"):
        TrainingRun(spec, CPU)


def rows_of(study, m, epochs):
    """The rows of each step of a phase that takes each batch m times in a row."""
    spec = training_spec("free_training", study, m=m)
    training = TrainingRun(spec, CPU).training
    return [inputs.rows.tolist() for e in range(epochs) for inputs in training.epoch_inputs(e)]


def test_a_batch_that_is_replayed_comes_so_many_steps_in_a_row():
    """Epochs keep their steps and their examples, and so many of them go over the pool once."""
    study = small_study(["free_training"])
    once, thrice = rows_of(study, 1, 1), rows_of(study, 3, 3)
    assert [len(rows) for rows in thrice] == 3 * [len(rows) for rows in once]
    for first in range(0, len(thrice), 3):
        shortest = min(map(len, thrice[first : first + 3]))
        assert len({tuple(rows[:shortest]) for rows in thrice[first : first + 3]}) == 1
    seen = {row for rows in thrice for row in rows}
    assert seen == {row for rows in once for row in rows}  # all of the pool
    twice = rows_of(study, 2, 3)
    assert twice[2 * len(once)] != twice[0]  # a third epoch is in another order


class AsksForInputGradients(Objective):
    """Has the gradient of the training loss in its inputs."""

    def before_step(self, batch, model):
        return replace(batch, x=batch.x.detach().requires_grad_())

    def forward(self, outputs, batch):
        return cross_entropy(outputs.logits, batch.y)

    def after_step(self, outputs, losses, batch):
        assert batch.x.grad is not None and batch.x.grad.abs().sum() > 0


def test_inputs_that_require_a_gradient_have_one_and_nothing_else_changes(study):
    plain = run_to_end(training_spec("ce", study))
    asked = in_phase(training_spec("ce", study), method=f"{__name__}:AsksForInputGradients")
    assert run_to_end(asked)[0] == plain[0]
