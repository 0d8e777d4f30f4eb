"""The step before a launch: what would fail in every trial is told in one line, and first."""

import pytest
import torch
from torch import nn

from methods.losses.cross_entropy import CrossEntropy
from pipelines.errors import UserError
from pipelines.training import rehearsal
from pipelines.training.rehearsal import rehearse
from pipelines.training.trial import TrainingRun
from tests.conftest import in_phase, small_study, training_spec, under
from tests.hypergradient.odd_models import Untaught
from tests.support.arms import every_arm


def spec_of(arm="ce", model=None, method=None):
    spec = training_spec(arm, small_study([arm]))
    if model:
        spec = under(spec, {"model": {"name": f"{__name__}:{model.__name__}"}})
    return in_phase(spec, method=f"{__name__}:{method.__name__}") if method else spec


@every_arm()
def test_every_arm_takes_its_step(arm):
    rehearse(training_spec(arm, small_study([arm])))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_leaves_no_trace(precision):
    spec = under(spec_of("mw_net"), {"precision": precision, "threads": 2})
    state = torch.get_rng_state()
    rehearse(spec)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == 1


def test_its_steps_are_small_and_those_of_all_phases(monkeypatch):
    taken = []
    original = TrainingRun._epoch

    def epoch(run):
        taken.append((run.training.phase.name, len(run.task.train), run.training.length.per_epoch))
        return original(run)

    monkeypatch.setattr(TrainingRun, "_epoch", epoch)
    rehearse(spec_of("finetune"))
    assert taken == [("noisy", 2, 1), ("finetune", 2, 1)]


class OnlyInEval(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        if self.training:
            raise ValueError("no\ntraining here")
        return self.linear(x.flatten(1))


class NoLogits(OnlyInEval):
    def forward(self, x):
        return {} if self.training else self.linear(x.flatten(1))


class ToFloat(OnlyInEval):
    """Its parameters are no float64's, and meta-learned arms run all the same."""

    def forward(self, x):
        return self.linear.float()(x.flatten(1).float())


class Frozen(OnlyInEval):
    def __init__(self, input_shape, classes):
        super().__init__(input_shape, classes)
        self.requires_grad_(False)


def all_zero(input_shape, classes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, classes))
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def blind(input_shape, classes):
    """Its input makes no difference."""
    model = all_zero(input_shape, classes)
    nn.init.ones_(model[3].bias)
    return model


MODELS = [
    (OnlyInEval, "CrossEntropy cannot train model '.*:OnlyInEval': ValueError: no training here"),
    (NoLogits, "the model gives dict: must be logits"),
    (Frozen, "model '.*:Frozen': none of its parameters requires a gradient"),
    (all_zero, "model '.*:all_zero' gives every input the same outputs"),
    (blind, "gives every input the same outputs, and no step would change that"),
]


@pytest.mark.parametrize(("model", "message"), MODELS)
def test_a_model_that_cannot_train_is_refused_in_one_line(model, message):
    with pytest.raises(UserError, match=message) as caught:
        rehearse(spec_of(model=model))
    assert "\n" not in str(caught.value)


def zero_head(input_shape, classes):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, classes))
    nn.init.zeros_(model[3].weight)
    return model


@pytest.mark.parametrize("model", [zero_head, ToFloat])
@pytest.mark.parametrize("arm", ["ce", "l2rw", "mw_net"])
def test_a_model_that_trains_is_not_refused(model, arm):
    rehearse(spec_of(arm, model))


class Breaks(CrossEntropy):
    def after_step(self, outputs, losses, batch):
        raise KeyError("memory")


class BreaksBetweenEpochs(CrossEntropy):
    def begin_epoch(self, epoch, predict):
        return predict("train").nothing


class PredictsTooFew(CrossEntropy):
    def predict(self, outputs):
        return outputs.logits.softmax(1)[:-1]


@pytest.mark.parametrize("method", [Breaks, BreaksBetweenEpochs, PredictsTooFew])
def test_a_method_that_fails_in_any_of_its_hooks_is_refused(method):
    with pytest.raises(UserError, match=f"{method.__name__} cannot train model 'mlp': "):
        rehearse(spec_of(method=method))


class NeedsMany(CrossEntropy):
    """As many as a batch has."""

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) + 0 * outputs.logits.topk(50, dim=0)[0].sum()


def test_a_method_that_needs_more_examples_gets_them():
    rehearse(spec_of(method=NeedsMany))


class NoRuleHere(OnlyInEval):
    def forward(self, x):
        return Untaught.apply(self.linear(x.flatten(1)))


def test_a_rule_that_is_missing_here_proves_nothing_for_another_device():
    spec = spec_of("l2rw", NoRuleHere)
    with pytest.raises(UserError, match=r"cannot differentiate this model: .* double_backward"):
        rehearse(spec)
    rehearse(spec, "cuda")


def test_a_device_elsewhere_is_asked_for_no_precision_here(monkeypatch):
    seen = []
    monkeypatch.setattr(rehearsal, "_rehearse", lambda spec: seen.append(spec.protocol.precision))
    spec = under(spec_of(), {"precision": "bfloat16"})
    rehearse(spec)
    rehearse(spec, "cuda")
    assert seen == ["bfloat16", "float32"]
