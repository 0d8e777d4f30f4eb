"""The template of a method is one: it trains, remembers and learns, and no study finds it."""

import pytest
import torch

from methods.objective import Batch, Outputs, PhaseInfo, cross_entropy
from methods.template import Template
from pipelines.study.arms import known_arms
from pipelines.training.trial import run_trial
from tests.conftest import in_phase, training_spec

PATH = "methods.template:Template"
CLASSES, ROWS = 3, 10


def bound(**hyperparameters) -> Template:
    method = Template(**hyperparameters)
    labels = torch.arange(ROWS) % CLASSES
    method.bind(PhaseInfo(ROWS, CLASSES, labels, labels.bincount()))
    return method.double()


@pytest.fixture
def batch() -> Batch:
    y = torch.eye(CLASSES, dtype=torch.float64)
    flags = torch.zeros(3, dtype=torch.bool)
    rows = torch.tensor([7, 2, 5])
    return Batch(torch.zeros(3, 1), y, rows, flags, ("test",), torch.tensor(0.0))


def test_no_arm_has_the_template():
    assert PATH not in str(known_arms()) and "Template" not in str(known_arms())


def test_examples_that_were_hard_weigh_less(batch):
    torch.manual_seed(0)
    method, outputs = bound(scale=2.0, momentum=0.25), Outputs(torch.randn(3, 3).double())
    plain = cross_entropy(outputs.logits, batch.y)
    torch.testing.assert_close(method(outputs, batch), plain)
    method.after_step(outputs, method(outputs, batch), batch)
    remembered = 0.75 * plain
    torch.testing.assert_close(method.memory[batch.index], remembered)
    torch.testing.assert_close(method(outputs, batch), plain / (1 + (remembered / 2) ** 2))
    assert method.memory.count_nonzero() == 3


@pytest.mark.parametrize("learn", [False, True])
def test_a_trial_of_the_template_runs_and_resumes_to_the_same_bits(learn):
    hyperparameters = {"learn": True} if learn else {}
    spec = in_phase(training_spec("ce"), method=PATH, hyperparameters=hyperparameters)
    steps = list(run_trial(spec))
    halfway = iter(run_trial(spec))
    state = [next(halfway) for _ in range(len(steps) // 2)][-1].snapshot()
    *_, resumed = run_trial(spec, state)
    result, again = steps[-1].result, resumed.result
    assert result is not None and again is not None and result["status"] == "completed"
    assert result["held_out"] == again["held_out"] and result["learned"] == again["learned"]
    assert bool(result["learned"]) == learn
