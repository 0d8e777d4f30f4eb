"""The clean loss without clean labels: on which examples, how long they stay, and what it is."""

from itertools import islice

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from pipelines.data.task import prepare
from pipelines.hypergradient.meta_step import mean_absolute_error
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import Meta
from pipelines.training.clean_examples import CleanExamples, clean_available, easiest
from pipelines.training.passes import passes_of
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec
from tests.support.trials import run_to_end, through_a_file
from tests.training.conftest import CPU, PLAIN, run, spec_of

PSEUDO = {"source": "pseudo_clean"}


def test_the_easiest_are_those_of_smallest_loss_of_each_class_as_far_as_it_goes():
    losses = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.2, 0.7, 0.1])
    y = torch.tensor([0, 0, 0, 0, 2, 1, 1])
    assert easiest(losses, y, 2).tolist() == [1, 3, 4, 5, 6]
    assert easiest(torch.zeros(7), y, 1).tolist() == [0, 4, 5]


def test_a_loss_that_is_no_number_is_not_easy():
    losses = torch.tensor([torch.nan, 2.0, 1.0])
    assert easiest(losses, torch.zeros(3, dtype=torch.long), 2).tolist() == [1, 2]


@pytest.fixture(scope="module")
def task():
    spec = training_spec("ce")
    return prepare(spec.protocol, spec.data_seed)


def test_sources_have_as_many_examples_as_they_say(task):
    assert clean_available(Meta(), task) == len(task.meta) == 50
    assert clean_available(Meta(source="train"), task) == len(task.train)
    assert clean_available(Meta(source="pseudo_clean", per_class=3), task) == 30
    counts = task.train.y.bincount()
    assert clean_available(Meta(source="pseudo_clean", per_class=999), task) == counts.sum()


def chosen_by(trial):
    clean = trial.training.clean
    return clean.rows(torch.arange(clean.number))


def test_they_are_chosen_before_each_epoch_by_the_average_in_eval_mode():
    spec = in_phase(training_spec("cmw_net_pseudo"), 1, meta=PSEUDO | {"per_class": 3})
    trial, steps = (found := TrainingRun(spec, CPU)), found.steps()
    while trial.phase_index == 0 or trial.epoch < 1:
        next(steps)
    average = trial.training.average
    assert average
    with average.in_place(), torch.no_grad():
        trial.model.eval()
        train = trial.task.train
        losses = cross_entropy(
            trial.model(trial.task.normalise(train.x)), train.y, reduction="none"
        )
        trial.model.train()
    before = chosen_by(trial)
    next(steps)  # the first step of the next epoch
    assert torch.equal(chosen_by(trial), easiest(losses, train.y, 3))
    assert not torch.equal(chosen_by(trial), before)


@pytest.mark.parametrize("method", ["mw_net", "l2rw"])
def test_an_epoch_that_is_resumed_has_the_examples_that_it_began_with(method):
    spec = in_phase(training_spec(method), meta=PSEUDO | {"per_class": 3, "batch_size": 10})
    rows, _ = run_to_end(spec)
    for steps in (2, 4, 5):
        events = list(islice(run_trial(spec), steps))
        more, _ = run_to_end(spec, through_a_file(events[-1].snapshot()))
        assert [e.row for e in events if e.row] + more == rows


def test_the_clean_split_is_not_looked_at():
    """But for its inputs, of which the normalisation is made, too."""
    for arm in ("cmw_net_pseudo", "mw_net_mae"):
        spec, rows = training_spec(arm), []
        for shift in (0, 1):
            trial = TrainingRun(spec, CPU)
            trial.task.meta.x.add_(shift * 3)
            rows.append([e.row for e in trial.steps() if e.row])
            trial.task.meta.x.sub_(shift * 3)  # it is shared
        assert rows[0] == rows[1]


def test_its_passes_are_counted_with_the_choice():
    study = small_study(["cmw_net_pseudo"])
    spec = training_spec("cmw_net_pseudo", study)
    task = prepare(study.protocol, spec.data_seed)
    plain = in_phase(spec, 1, meta={"source": "train", "batch_size": 100})
    taken = [run_to_end(s)[1]["passes"] for s in (spec, plain)]
    assert taken[0] == passes_of(resolve_arm("cmw_net_pseudo", {}), {}, study, task)
    assert taken[0] - taken[1] == 3 * len(task.train)  # of three epochs


def test_the_mean_absolute_error_is_the_distance_of_the_distributions():
    z = torch.randn(6, 4, dtype=torch.float64)
    y = one_hot(torch.arange(6) % 4, 4).double()
    expected = (y - z.softmax(1)).abs().sum(1)
    torch.testing.assert_close(mean_absolute_error(z, y), expected)


def test_the_clean_loss_of_a_phase_is_the_one_that_it_asks_for():
    rows = {}
    for loss in ("cross_entropy", "mae"):
        rows[loss], _ = run_to_end(in_phase(training_spec("mw_net"), meta={"loss": loss}))
    norms = [[row["meta/gradient_norm"] for row in found] for found in rows.values()]
    assert all(a != b for a, b in zip(*norms, strict=True))


def test_per_class_is_an_option_of_pseudo_clean_alone():
    with pytest.raises(ValueError, match="per_class is an option of source pseudo_clean"):
        Meta(per_class=3)


@pytest.mark.parametrize("arm", ["mw_net", "l2rw"])
def test_steps_are_replayed_over_epochs_that_choose_anew(arm, recorder):
    spec = spec_of(arm, **PSEUDO, per_class=3, batch_size=20)
    found, training = run(spec)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 5
    assert found == run(spec, fast=PLAIN)[0]


def test_a_source_without_a_choice_has_nothing_to_choose(task):
    clean = CleanExamples(Meta(source="train"), task)
    assert clean.choose(lambda pool=None: pytest.fail("looked")) == 0
