"""The protocol's attack: what it perturbs, what it counts, and methods that train against it."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch.nn import functional as F

from methods.objective import generator
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.models.network import Network
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import parse_study
from pipelines.training.attack import ProtocolAttack, threat_of
from pipelines.training.passes import passes_of
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import DIGITS, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file

CPU = torch.device("cpu")
ATTACK = {"epsilon": 2 / 255, "steps": 3}
LINEAR = {"name": "mlp", "options": {"hidden": []}}


def study(arms, **protocol):
    protocol = DIGITS | {"attack": ATTACK} | protocol
    request = {"arms": arms, "trials": 2, "repeats": 1, "seeds": 1}
    return parse_study({"name": "attacked", "protocol": protocol, "request": request}, "attacked")


def spec_of(arm, config=None, **protocol):
    return training_spec(arm, study([arm], **protocol), **(config or {}))


def without(rows, *names):
    return [{n: v for n, v in row.items() if n not in names} for row in rows]


def table(task, features):
    """The same task with inputs of a table."""
    x = features(len(task.train))
    train = replace(task.train, x=x)
    std = torch.ones(x.shape[1])
    return replace(task, train=train, input_shape=(x.shape[1],), mean=std * 0, std=std)


def test_the_unit_of_images_is_the_range_of_a_pixel():
    task = prepare(study(["ce"]).protocol, 1)
    threat = threat_of(study(["ce"]).protocol, task)
    ends = [task.normalise(torch.full((1, 1, 8, 8), v, dtype=torch.uint8)) for v in (0, 255)]
    for end, bound in zip(ends, (threat.low, threat.high), strict=True):
        torch.testing.assert_close(bound.expand_as(end), end)
    torch.testing.assert_close(threat.unit.expand(1, 8, 8), (ends[1] - ends[0])[0])


def test_the_unit_of_a_table_is_a_deviation_and_what_is_constant_stays():
    protocol = study(["ce"]).protocol

    def features(n):
        return torch.stack([torch.randn(n), torch.full((n,), 3.0)], dim=1)

    threat = threat_of(protocol, table(prepare(protocol, 1), features))
    assert threat.unit.tolist() == [1.0, 0.0]
    x = torch.randn(5, 2)
    moved = threat.ascend(x, lambda v: v.square().sum(), 0.1, 3) - x
    assert (moved[:, 0] != 0).all() and (moved[:, 1] == 0).all()


def naive(run, split, name, attack=ATTACK):
    """Robust accuracy by ascent written down for pixels in [0, 1]."""
    task, model = run.task, run.model.eval()
    x, y = getattr(task, split).x.float() / 255, getattr(task, split).y
    start, size = [], run.protocol.schedule.batch_size
    for number, part in enumerate(x.split(size)):
        gen = generator(run.protocol.seed, "attack", name, number)
        start.append((2 * torch.rand(part.shape, generator=gen) - 1) * attack["epsilon"])
    there = (x + torch.cat(start)).clamp(0, 1)
    for _ in range(attack["steps"]):
        there = there.detach().requires_grad_()
        F.cross_entropy(model((255 * there - task.mean) / task.std), y).backward()
        there = there + attack["epsilon"] / 4 * there.grad.sign()
        there = torch.min(torch.max(there, x - attack["epsilon"]), x + attack["epsilon"])
        there = there.clamp(0, 1)
    with torch.no_grad():
        hits = model((255 * there - task.mean) / task.std).argmax(1) == y
    model.train()
    return hits.double().mean().item()


def test_robust_accuracy_is_that_of_plain_ascent_in_pixels():
    run = TrainingRun(spec_of("ce"), CPU)
    list(run.steps())
    result = run.result()
    assert run.history[-1]["val/robust_accuracy"] == pytest.approx(naive(run, "val", "val"))
    robust = result["held_out"]["last"]["robust_accuracy"]
    assert robust == pytest.approx(naive(run, "test", "test"), abs=1.5 / 1400)
    assert robust < result["held_out"]["last"]["accuracy"] - 0.1


def test_the_attack_changes_nothing_but_what_is_measured_with_it():
    rows, result = run_to_end(spec_of("gce"))
    plain, plain_result = run_to_end(under(spec_of("gce"), {"attack": None}))
    assert without(rows, "val/robust_accuracy", "passes") == without(plain, "passes")
    assert all("val/robust_accuracy" in row for row in rows)
    assert result["val"] == plain_result["val"]


def test_without_a_radius_robust_accuracy_is_accuracy():
    rows, result = run_to_end(spec_of("ce", attack={"epsilon": 0.0}))
    assert all(row["val/robust_accuracy"] == row["val/accuracy"] for row in rows)
    assert result["held_out"]["last"]["robust_accuracy"] == result["held_out"]["last"]["accuracy"]


def test_two_networks_are_attacked_through_the_mean_of_their_predictions():
    once = {"epsilon": 0.01, "step": 0.01, "steps": 1, "start": "zero"}
    run = TrainingRun(spec_of("coteaching", attack=once, model=LINEAR), CPU)
    list(run.steps())
    attack, network, val = (
        ProtocolAttack(run.protocol, run.task),
        run.training.network,
        run.task.val,
    )
    x = run.task.normalise(val.x).requires_grad_()
    p = run.objective.predict(network(x)).gather(1, val.y[:, None])
    (slope,) = torch.autograd.grad(-p.log().sum(), x)
    moved = x + (0.01 * attack.threat.unit * slope.sign())
    expected = network.evaluate([moved.detach().clamp(attack.threat.low, attack.threat.high)])
    found = attack.outputs(network, val, "val")
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-3, atol=1e-4)


def test_an_attack_starts_alike_in_all_epochs_and_leaves_no_trace():
    model = {"name": f"{__name__}:odd_model"}
    run = TrainingRun(spec_of("ce", attack={"epsilon": 0.01, "steps": 1}, model=model), CPU)
    before = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
    attack, network = ProtocolAttack(run.protocol, run.task), run.training.network
    first, again = (attack.outputs(network, run.task.val, "val").logits for _ in range(2))
    other = run.protocol.model_copy(update={"seed": 5})
    elsewhere = ProtocolAttack(other, run.task).outputs(network, run.task.val, "val").logits
    assert torch.equal(first, again) and not torch.equal(first, elsewhere)
    assert equal_models(before, run.model.state_dict())  # statistics of BatchNorm among them
    assert network.model.training and all(p.grad is None for p in network.model.parameters())


@pytest.mark.parametrize("arm", ["ce", "maxup", "pgd_training", "coteaching", "clean_only_all"])
def test_counted_passes_are_those_that_arithmetic_predicts(arm):
    spec, asked = spec_of(arm), study([arm])
    task = prepare(asked.protocol, spec.data_seed)
    passes = run_to_end(spec)[1]["passes"]
    assert passes == passes_of(asked.arm(arm), {}, asked, task)
    attacked = 3 * 50 * 2 * 3 * (2 if arm == "coteaching" else 1)
    plain = run_to_end(under(spec, {"attack.steps": 6}))[1]["passes"] - passes
    assert plain == (0 if arm == "clean_only_all" else attacked)


def test_the_best_epoch_is_that_of_the_best_robust_val():
    config = {"epoch": "selected", "metric": "robust_accuracy"}
    spec = spec_of("ce", schedule=DIGITS["schedule"] | {"epochs": 8, "lr": 0.3}, **config)
    rows, result = run_to_end(spec)
    robust = [row["val/robust_accuracy"] for row in rows]
    assert result["selected_epoch"] == 1 + robust.index(max(robust))
    assert result["val"]["selected"] == max(robust)
    held_out = result["held_out"]
    for rule in ("last", "selected"):
        assert held_out["score"][rule] == held_out[rule]["robust_accuracy"]


def equal_models(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def finished(spec):
    run = TrainingRun(spec, CPU)
    list(run.steps())
    return run


@pytest.mark.parametrize(
    ("arm", "config", "protocol"),
    [
        ("maxup", {"m": 1}, {"augment": "crop_flip"}),
        ("maxup", {"sigma": 0.0}, {}),
        ("pgd_training", {"radius": 0.0}, {}),
    ],
)
def test_at_the_end_of_its_range_it_is_cross_entropy_to_the_last_bit(arm, config, protocol):
    model = {"name": "mlp", "options": {"hidden": [16], "dropout": 0.3}}
    plain = finished(spec_of("ce", model=model, **protocol))
    found = finished(spec_of(arm, config, model=model, **protocol))
    assert without(found.history, "passes") == without(plain.history, "passes")
    assert equal_models(plain.model.state_dict(), found.model.state_dict())


@pytest.mark.parametrize("arm", ["maxup", "pgd_training"])
def test_with_crops_dropout_and_batch_norm_a_trial_resumes_exactly(arm):
    spec = spec_of(arm, model={"name": f"{__name__}:odd_model"}, augment="crop_flip")
    spec = under(spec, {"schedule.epochs": 1})
    rows, result = run_to_end(spec)
    events = list(islice(run_trial(spec), 2))
    more, again = run_to_end(spec, through_a_file(events[-1].snapshot()))
    assert more == rows and comparable(again) == comparable(result)


def odd_model(input_shape, classes):
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(64, 16),
        torch.nn.BatchNorm1d(16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(16, classes),
    )


def test_without_an_attack_what_needs_one_is_refused():
    with pytest.raises(UserError, match=r"pgd_training.*trains against the protocol's attack"):
        study(["pgd_training"], attack=None)
    with pytest.raises(UserError, match=r"protocol\.metric = 'robust_accuracy': is of attacked"):
        study(["ce"], attack=None, metric="robust_accuracy")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ({}, r"protocol\.attack\.epsilon: Field required"),
        ({"epsilon": -1}, r"protocol\.attack\.epsilon = -1: .*greater than or equal to 0"),
        ({"epsilon": 1, "step": 0}, r"protocol\.attack\.step = 0: .*greater than 0"),
        ({"epsilon": 1, "norm": "l1"}, r"protocol\.attack\.norm = 'l1': .*'linf' or 'l2'"),
        ({"epsilon": 1, "restarts": 2}, r"protocol\.attack\.restarts: .*allowed are name, norm"),
    ],
)
def test_a_mistake_in_an_attack_is_named(attack, message):
    with pytest.raises(UserError, match=message):
        study(["ce"], attack=attack)


def test_a_step_is_a_quarter_of_the_radius_unless_it_is_given():
    steps = [{"epsilon": 0.4}, {"epsilon": 0.4, "step": 0.3}]
    found = [Protocol.model_validate({"attack": step}).attack.stride for step in steps]
    assert found == [0.1, 0.3]


def test_the_model_of_before_step_has_the_dropout_masks_of_the_training_forward():
    network = Network(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)))
    network.step_key, x = (1, 0, 0, 4), torch.randn(5, 8)
    first = network.without_buffer_updates(x).logits
    network.reseed("forward")
    assert torch.equal(network(x).logits, first)
