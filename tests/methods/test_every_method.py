"""What holds for every method of every arm."""

import copy
import inspect
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck

from methods.objective import Outputs, PhaseInfo, PoolOutputs, generator, seed_of
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.study.method_loading import build_method, method_class, parameters_of
from pipelines.study.phases import Phase
from tests.methods.cases import (
    CLASSES,
    EXAMPLES,
    FEATURES,
    THREAT,
    batch_of,
    hard,
    logits,
    losses,
    model_for,
    outputs_for,
)

METHODS = {
    str((phase.method, phase.hyperparameters)): phase
    for name in known_arms()
    for phase in resolve_arm(name, {}).resolve({})
}
every_method = pytest.mark.parametrize("name", METHODS)
#: The same, and with each hyperparameter that is tuned at the ends of its range.
EXTREME = METHODS | {
    str((phase.method, phase.hyperparameters)): phase
    for name in known_arms()
    for config in resolve_arm(name, {}).extreme_configs()
    for phase in resolve_arm(name, {}).resolve(config)
}


def detaches(name):
    """Whether the code of a method leaves a part of its gradient out, which gradcheck would see."""
    seam = ("methods.objective", "methods.scalar_loss")
    classes = [c for c in method_class(METHODS[name].method).__mro__ if c.__module__ not in seam]
    own = [c for c in classes if c.__module__.startswith("methods.")]
    return any(".detach()" in inspect.getsource(one) for one in own)


def build(name):
    """The method, bound, with memory of a step that it has taken."""
    phase = EXTREME[name]
    torch.manual_seed(0)
    objective = build_method(phase.method, phase.hyperparameters)
    labels = torch.arange(EXAMPLES) % CLASSES
    objective.bind(
        PhaseInfo(
            EXAMPLES,
            CLASSES,
            labels,
            labels.bincount(),
            features=FEATURES,
            epochs=3,
            threat=THREAT,
            truth=labels.roll(1) if objective.oracle else None,
            input_shape=(1,),
            batch_size=EXAMPLES,
            inputs=lambda rows: torch.zeros(len(rows), 1),
        )
    )
    objective = objective.double()
    take_a_step(objective)
    return objective


def take_a_step(objective, batch=None):
    z = logits().roll(1, 0)
    batch = objective.before_step(batch or hard(), model_for(objective, z))
    with torch.no_grad():
        outputs = outputs_for(objective, z, batch)
        objective.after_step(outputs, objective(outputs, batch), batch)


def predictions_of(objective):
    labels = torch.arange(EXAMPLES) % CLASSES
    flags = torch.zeros(EXAMPLES, dtype=torch.bool)
    outputs = outputs_for(objective, logits())
    return PoolOutputs(outputs, torch.arange(EXAMPLES), labels, flags)


@every_method
def test_no_hyperparameter_has_the_name_of_a_phases_field(name):
    """Addresses could not tell them apart."""
    assert not set(parameters_of(METHODS[name].method)) & set(Phase.model_fields)


@every_method
def test_losses_have_one_value_per_example_and_are_pure(name):
    objective, z = build(name), logits()
    batch = objective.before_step(hard(), model_for(objective, z))
    outputs = outputs_for(objective, z, batch)
    state, y = copy.deepcopy(objective.state_dict()), batch.y.clone()
    first, again = objective(outputs, batch), objective(outputs, batch)
    assert first.shape == (len(batch.y),) and torch.equal(first, again) and torch.equal(batch.y, y)
    for key, value in objective.state_dict().items():
        assert torch.equal(value, state[key])


@every_method
def test_memory_changes_in_place_and_alike_where_a_row_occurs_twice(name):
    """What is remembered is part of snapshots, and of steps that a GPU replays."""
    objective = build(name)
    places = {n: b.data_ptr() for n, b in objective.named_buffers()}
    index = torch.tensor([0, 1, 1, 2, 2, 2, 3])
    batch = replace(hard(), index=index, progress=torch.tensor(0.9))
    again = copy.deepcopy(objective)
    for one in (objective, again):
        take_a_step(one, batch)
        with torch.no_grad():
            one.begin_epoch(1, lambda pool=None: predictions_of(objective))
    assert {n: b.data_ptr() for n, b in objective.named_buffers()} == places
    for key, value in objective.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.parametrize("name", [name for name in METHODS if not detaches(name)])
def test_gradients_pass_gradcheck_for_hard_and_soft_targets(name):
    objective, soft = build(name), logits(2.0).roll(1, 0).softmax(1)
    for given in (hard(), batch_of(soft)):
        batch = objective.before_step(given, model_for(objective, logits()))
        assert gradcheck(
            lambda z, b=batch: objective(outputs_for(objective, z, b), b), logits().requires_grad_()
        )


@every_method
@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(name, scale):
    objective, z = build(name).float(), logits(scale).float().requires_grad_()
    batch = batch_of(hard().y.float())
    batch = objective.before_step(batch, model_for(objective, z))
    found = objective(outputs_for(objective, z, batch), batch)
    (slope,) = torch.autograd.grad(found.sum(), z)
    assert found.isfinite().all() and slope.isfinite().all()


@pytest.mark.parametrize("name", EXTREME)
def test_it_is_as_exact_in_float32_as_its_inputs(name):
    """Examples of which a model is sure are in it, on the label and off it."""
    objective, z = build(name), logits(20.0)
    labels = torch.where(torch.arange(EXAMPLES) % 2 == 0, z.argmax(1), hard().y.argmax(1))
    exact = loss_and_slope(objective, z, hard(labels))
    batch = hard(labels)
    rounded = loss_and_slope(objective.float(), z.float(), replace(batch, y=batch.y.float()))
    for found, expected in zip(rounded, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-5)


def loss_and_slope(objective, z, batch):
    """Losses, and their gradient in the logits; features are the same in float32 and float64."""
    z = z.detach().requires_grad_()
    outputs = outputs_for(objective, z.double())
    found = objective(cast(outputs, z.dtype), batch)
    return found.detach(), torch.autograd.grad(found.sum(), z)[0]


def cast(outputs, dtype):
    features = None if outputs.features is None else outputs.features.to(dtype)
    other = None if outputs.other is None else cast(outputs.other, dtype)
    return Outputs(outputs.logits.to(dtype), features, other)


@pytest.mark.parametrize(
    "name", [name for name, phase in METHODS.items() if phase.method.startswith("methods.losses.")]
)
def test_a_soft_targets_loss_is_the_expectation_of_losses(name):
    objective, z = build(name), logits()
    soft = logits(2.0).roll(1, 0).softmax(1)
    each = torch.stack(
        [losses(objective, z, hard(torch.full((EXAMPLES,), k))) for k in range(CLASSES)], dim=1
    )
    torch.testing.assert_close(losses(objective, z, batch_of(soft)), (soft * each).sum(1))


@every_method
def test_state_survives_a_round_trip_and_predictions_are_probabilities(name):
    objective, other = build(name), build(name)
    for value in other.state_dict().values():
        value.zero_()
    other.load_state_dict(objective.state_dict())
    outputs = outputs_for(objective, logits())
    assert torch.equal(other(outputs, hard()), objective(outputs, hard()))
    torch.testing.assert_close(objective.predict(outputs).sum(1), torch.ones(EXAMPLES).double())


def test_keys_give_independent_repeatable_streams():
    assert seed_of(1, "order", 2) == seed_of(1, "order", 2) != seed_of(12, "order")
    first, other = (torch.rand(4, generator=generator(1, part)) for part in ("a", "b"))
    assert torch.equal(first, torch.rand(4, generator=generator(1, "a")))
    assert not torch.equal(first, other)
