"""Mixup and CutMix of the protocol: what is mixed with what, and who may not know."""

from itertools import islice

import pytest
import torch

from methods.objective import Batch, generator
from pipelines.errors import UserError
from pipelines.training.batches import Batches
from pipelines.training.mixing import Mixing, mixture, with_rows
from pipelines.training.rehearsal import rehearse
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file

KEYS = [(0, 0, 0, step) for step in range(40)]


def batch(n=12, trusted=0):
    gen = generator("batch")
    return Batch(
        x=torch.rand(n, 3, 16, 12, generator=gen),
        y=torch.eye(4)[torch.randint(4, (n,), generator=gen)],
        index=torch.arange(100, 100 + n),
        trusted=torch.arange(n) < trusted,
        key=KEYS[0],
        progress=torch.tensor(0.0),
    )


def test_mixup_is_a_convex_combination_of_examples_and_labels():
    given = batch()
    partner, share, _ = mixture("mixup", given, KEYS[0])
    mixed = Mixing("mixup", "m:M")(given, KEYS[0])
    for new, old in ((mixed.x, given.x), (mixed.y, given.y)):
        torch.testing.assert_close(new, share * old + (1 - share) * old[partner])


def test_cutmix_shows_of_each_example_the_share_that_its_label_has():
    given = batch()
    for key in KEYS:
        partner, share, others = mixture("cutmix", given, key)
        mixed = Mixing("cutmix", "m:M")(given, key)
        own, other = (mixed.x == t for t in (given.x, given.x[partner]))
        assert (own | other).all()
        assert share == pytest.approx(1 - others.float().mean().item())
        torch.testing.assert_close(mixed.y, share * given.y + (1 - share) * given.y[partner])
        rows, columns = others.any(dim=1), others.any(dim=0)
        box = others if others.sum() == rows.sum() * columns.sum() else ~others
        assert box.sum() == box.any(dim=1).sum() * box.any(dim=0).sum()  # one box


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_an_example_has_at_least_half_of_its_mixture(how):
    shares = [mixture(how, batch(), key).share for key in KEYS]
    assert min(shares) >= 0.5 and max(shares) > 0.9 and min(shares) < 0.6


def test_shares_of_mixup_are_uniform():
    """Beta(1, 1); of the larger of two, uniform in [1/2, 1]."""
    shares = [mixture("mixup", batch(2), (0, 0, 0, step)).share for step in range(400)]
    assert sum(shares) / 400 == pytest.approx(0.75, abs=0.03)


def test_trusted_examples_are_mixed_with_trusted_ones_alone():
    given = batch(12, trusted=5)
    met = set()
    for key in KEYS:
        partner = mixture("mixup", given, key).partner
        assert torch.equal(given.trusted[partner], given.trusted)
        assert (partner == torch.arange(12)).sum() <= 2  # the last of either kind
        met.add(int(partner[0]))
    assert met == set(range(5))


def test_a_lone_trusted_example_stays_as_it_is():
    given = batch(4, trusted=1)
    mixed = Mixing("mixup", "m:M")(given, KEYS[0])
    torch.testing.assert_close(mixed.x[0], given.x[0])


def test_examples_augmented_anew_are_mixed_alike():
    given = batch()
    again = Batch(**vars(given) | {"augment": lambda number: given.x + number})
    mixed = Mixing("cutmix", "m:M")(again, KEYS[3])
    drawn = mixture("cutmix", given, KEYS[3])
    assert torch.equal(mixed.augment(2), drawn.inputs(given.x + 2))


def test_rows_of_mixtures_can_be_read_by_the_loop_alone():
    mixed = Mixing("mixup", "mine:Elr")(batch(), KEYS[0])
    memory = torch.zeros(200)
    with pytest.raises(UserError, match="augment = 'mixup': mine:Elr goes by which"):
        memory[mixed.index]
    with pytest.raises(UserError, match="mine:Elr"):
        memory[mixed.index] = 1.0
    assert with_rows(mixed).index.tolist() == list(range(100, 112))


@pytest.mark.parametrize("arm", ["elr", "sop", "gce_truncated"])
def test_a_method_that_remembers_examples_is_refused_by_name(arm):
    spec = under(training_spec(arm, small_study([arm])), {"augment": "mixup"})
    method = spec.phases[-1].method
    with pytest.raises(UserError, match=f"augment = 'mixup': {method} goes by which"):
        rehearse(spec)


@pytest.mark.parametrize("arm", ["ce", "l2rw", "mw_net", "glc", "gce_plus_meta", "maxup"])
def test_learned_weights_and_trusted_examples_compose_with_mixtures(arm):
    """A weight is that of a mixture; the clean loss is of examples as they are."""
    run = TrainingRun(
        under(training_spec(arm, small_study([arm])), {"augment": "mixup"}), torch.device("cpu")
    )
    events = run.steps()
    next(events)
    training = run.training
    step_inputs = training.epoch_inputs(0)[1]
    mixed = training.batches.training(step_inputs, (2, 0, 0, 1))
    assert (mixed.y.amax(dim=1) < 1).any()
    torch.testing.assert_close(mixed.y.sum(dim=1), torch.ones(len(mixed.y)))
    if training.meta.active:
        _, y = training.batches.clean_loss(step_inputs, (2, 0, 0, 1))
        assert (y.amax(dim=1) == 1).all()


def test_all_arms_get_the_same_mixtures(monkeypatch):
    seen = {}
    original = Batches.training

    def record(self, *args):
        made = original(self, *args)
        seen.setdefault(arm, []).append(made.x.sum().item())
        return made

    monkeypatch.setattr(Batches, "training", record)
    for arm in ("ce", "mw_net"):
        study = small_study([arm])
        list(islice(run_trial(under(training_spec(arm, study), {"augment": "mixup"})), 5))
    assert seen["ce"] == seen["mw_net"]


@pytest.mark.parametrize("arm", ["l2rw", "ce_plus_meta"])
@pytest.mark.parametrize("augment", ["trivialaugment+mixup", "cutmix"])
def test_a_trial_with_mixtures_resumes_exactly(arm, augment):
    spec = under(training_spec(arm, small_study([arm])), {"augment": augment, "schedule.epochs": 2})
    rows, result = run_to_end(spec)
    events = list(islice(run_trial(spec), 2))
    more, again = run_to_end(spec, through_a_file(events[-1].snapshot()))
    assert comparable(again) == comparable(result) and more == rows[-len(more) :]
