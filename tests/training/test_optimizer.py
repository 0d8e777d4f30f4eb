"""The optimizer of the schedule: what it is made of, exact resume, and look-aheads that are its."""

import json
from itertools import islice

import pytest
import torch

from pipelines.errors import UserError
from pipelines.study.protocol import Schedule
from pipelines.training.optimizer import build_optimizer
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file
from tests.training.conftest import PLAIN, run, spec_of

ADAMW = {"optimizer": "adamw", "lr": 1e-3, "betas": [0.8, 0.99], "eps": 1e-6, "weight_decay": 1e-2}
OWN = {"optimizer": "tests.hypergradient.own_optimizers:Cubic", "weight_decay": 0.0, "lr": 0.01}
OPTIMIZERS = {"adamw": ADAMW, "own": OWN | {"optimizer_options": {"rho": 0.9}}}
CPU = torch.device("cpu")


def built(**schedule):
    parameters = [torch.nn.Parameter(torch.zeros(3))]
    return build_optimizer(Schedule.model_validate(schedule), parameters)


def test_each_optimizer_has_the_options_of_the_schedule():
    [group] = built(**ADAMW).param_groups
    assert isinstance(built(**ADAMW), torch.optim.AdamW)
    names = ("lr", "betas", "eps", "weight_decay", "fused")
    assert [group[name] for name in names] == [1e-3, (0.8, 0.99), 1e-6, 1e-2, True]
    own = built(optimizer="torch.optim:RMSprop", optimizer_options={"alpha": 0.5}, lr=0.2)
    assert own.defaults["alpha"] == 0.5 and own.defaults["lr"] == 0.2
    assert own.defaults["weight_decay"] == 5e-4 and own.defaults["momentum"] == 0


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"optimizer": "nowhere:Slow"}, "'nowhere:Slow': module 'nowhere' is neither installed"),
        ({"optimizer": "torch.optim:Slow"}, "has no 'Slow'"),
        ({"optimizer": "torch.nn:Linear"}, "is not a subclass of torch.optim.Optimizer"),
        ({"optimizer": "torch.optim:RMSprop", "optimizer_options": {"beta": 1}}, "beta"),
        (OWN | {"weight_decay": 0.1}, "schedule.weight_decay = 0.1: must be 0, since tests."),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(schedule, message):
    with pytest.raises(UserError) as refusal:
        built(**schedule)
    assert message in str(refusal.value) and "schedule." in str(refusal.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("meta", [{"step": "own"}, {"lookahead": "alternating"}])
def test_a_trial_with_it_resumes_exactly(name, meta):
    spec = under(training_spec("mw_net", small_study(["mw_net"])), OPTIMIZERS[name], "schedule")
    spec = in_phase(spec, meta=meta)
    rows, result = run_to_end(spec)
    interrupted = list(islice(run_trial(spec), 4))
    more, again = run_to_end(spec, through_a_file(interrupted[-1].snapshot()))
    assert [e.row for e in interrupted if e.row] + more == rows
    assert json.dumps(comparable(again)) == json.dumps(comparable(result))
    assert result["status"] == "completed"


@pytest.mark.parametrize("meta", [{"step": "own"}, {"lookahead": "alternating"}])
def test_steps_of_adamw_are_replayed(meta, recorder):
    spec = under(spec_of("mw_net", **meta), ADAMW | {"clip": 0.5, "epochs": 6}, "schedule")
    expected, _ = run(spec, fast=PLAIN)
    found, training = run(spec)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 0
    assert found == expected


def first_hypergradient(meta, schedule):
    """That of a trial's first step, and the learned value after it."""
    spec = under(training_spec("gce_learned", small_study(["gce_learned"])), schedule, "schedule")
    trial = TrainingRun(in_phase(spec, meta=meta), CPU)
    next(trial.steps())
    return float(trial.training.sums["meta_norm"])


@pytest.mark.parametrize(
    "schedule",
    [{"clip": 0.02}, {"clip": 0.02, "nesterov": True}, {"momentum": 0.0, "clip": 0.02}, ADAMW, OWN],
)
def test_both_ways_to_take_the_optimizers_own_step_have_one_hypergradient(schedule):
    found = {
        name: first_hypergradient(meta, schedule)
        for name, meta in {
            "rollback": {"step": "own"},
            "retained": {"step": "own", "graph": "retain"},
            "alternating": {"lookahead": "alternating"},
            "double backward": {"step": "own", "engine": "double_backward"},
        }.items()
    }
    for value in found.values():
        assert value == pytest.approx(found["double backward"], rel=1e-3)
    assert found["rollback"] != pytest.approx(first_hypergradient({}, schedule), rel=1e-3)


def test_an_optimizer_without_a_derivative_is_refused_where_a_look_ahead_is_its_step():
    spec = training_spec("mw_net", small_study(["mw_net"]))
    spec = under(
        spec, OWN | {"optimizer": "tests.hypergradient.own_optimizers:SignStep"}, "schedule"
    )
    next(run_trial(spec))
    for meta in ({"step": "own"}, {"lookahead": "alternating"}):
        with pytest.raises(UserError, match="the step of SignStep has no derivative but zero"):
            next(run_trial(in_phase(spec, meta=meta)))
