"""What is observed of a run, against independent computations."""

import pytest
import torch
from torch.nn import functional as F

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.objective import Batch, Outputs
from pipelines.training.example_weights import (
    effective_share,
    implicit_weights,
    memory_row,
    observed_epochs,
    weight_row,
)
from pipelines.training.trial import TrainingRun
from pipelines.trial_documents import EDGES
from tests.conftest import training_spec, under


@pytest.mark.parametrize("total", [1, 2, 5, 12, 60, 200])
def test_about_a_dozen_epochs_are_observed_with_the_first_and_the_last(total):
    epochs = observed_epochs(total)
    assert {1, total} <= epochs <= set(range(1, total + 1)) and len(epochs) == min(total, 12)


def test_the_implicit_weight_of_gce_is_p_to_the_q():
    torch.manual_seed(0)
    z = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
    y = F.one_hot(torch.arange(8) % 4, 4).double()
    flags = torch.zeros(8, dtype=torch.bool)
    batch = Batch(z, y, torch.arange(8), flags, (0,), torch.tensor(0.0))
    [logit_grad] = torch.autograd.grad(GeneralizedCrossEntropy(0.7)(Outputs(z), batch).mean(), z)
    p = (z.softmax(1) * y).sum(1).detach()
    torch.testing.assert_close(implicit_weights(z, logit_grad, y), p**0.7)


def test_a_row_counts_clean_and_corrupted_examples_in_units_of_the_mean_weight():
    weights = torch.tensor([0.0, 2.0, 4.0, 2.0, torch.nan])
    corrupted = torch.tensor([True, False, False, False, True])
    row = weight_row(weights, corrupted)
    assert (row["weights/mean"], row["weights/zero"], row["weights/auroc"]) == (2.0, 0.25, 1.0)
    assert row["weights/corrupted"][0] == 1 and sum(row["weights/corrupted"]) == 1
    assert (
        row["weights/clean"][EDGES.index(1.0)] == 2 and row["weights/clean"][EDGES.index(2.0)] == 1
    )
    assert row["weights/clean_mean"] == pytest.approx(4 / 3)


def test_corrupted_examples_are_memorised_recovered_or_neither():
    truth = torch.tensor([0, 0, 0, 0, 0, 0])
    labels = torch.tensor([1, 1, 1, 1, 0, 1])
    predicted = torch.tensor([1, 0, 0, 2, 0, -1])  # the last one was not observed
    row = memory_row(predicted, labels, truth)
    assert row == {"corrupted/memorised": 0.25, "corrupted/recovered": 0.5}
    assert memory_row(predicted, truth, truth) == {}


def test_what_a_trial_records_of_them_is_what_its_model_predicts():
    """Of a model that cannot change: at a learning rate of nothing."""
    spec = under(training_spec("ce"), {"schedule.lr": 1e-12})
    run = TrainingRun(spec, torch.device("cpu"))
    rows = [event.row for event in run.steps() if event.row]
    train = run.task.train
    with torch.no_grad():
        predicted = run.model.eval()(run.task.normalise(train.x)).argmax(1)
    expected = memory_row(predicted, train.y, train.truth)
    assert {name: rows[-1][name] for name in expected} == expected and len(expected) == 2


@pytest.mark.parametrize(("weights", "share"), [
    ([1.0, 1.0, 1.0, 1.0], 1.0), ([3.0, 0.0, 0.0, 0.0], 0.25), ([0.0, 0.0], 0.0),
    ([2.0, 2.0, torch.nan, -1.0], 2 / 3),
])  # fmt: skip
def test_the_effective_share_is_that_of_the_examples_that_have_all_the_weight(weights, share):
    assert effective_share(torch.tensor(weights)) == pytest.approx(share)
