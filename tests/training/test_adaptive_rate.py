"""Hypergradient descent: the published rule, its behaviour on a quadratic, resume, replays."""

import json
from itertools import islice, pairwise

import pytest
import torch

from pipelines.errors import UserError
from pipelines.study.protocol import Schedule
from pipelines.training.adaptive_rate import AdaptiveRate
from pipelines.training.trial import run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file
from tests.training.conftest import PLAIN, run, spec_of


def descend(curvature, lr, beta, steps, **schedule):
    """Rates and positions on a theta^2 / 2 from theta = 1, by the class."""
    how = Schedule.model_validate(
        {"lr": lr, "decay": "hypergradient", "hypergradient_lr": beta, "momentum": 0.0} | schedule
    )
    theta = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD(
        [theta],
        lr=lr,
        momentum=how.momentum,
        nesterov=how.nesterov,
        weight_decay=how.weight_decay,
    )
    adaptive = AdaptiveRate(how, [theta])
    rates, places = [], []
    for _ in range(steps):
        theta.grad = curvature * theta.detach()
        optimizer.param_groups[0]["lr"] = adaptive.before_step()
        optimizer.step()
        adaptive.after_step(optimizer)
        rates.append(float(adaptive.value))
        places.append(float(theta.detach()))
    return rates, places


@pytest.mark.parametrize(
    "schedule", [{}, {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.3}]
)
def test_it_is_the_published_rule(schedule):
    """Written out for one number: alpha += beta grad u, with u what SGD went along last."""
    momentum, decay = schedule.get("momentum", 0.0), schedule.get("weight_decay", 5e-4)
    theta, rate, u, mean = 1.0, 0.05, 0.0, 0.0
    expected = []
    for _ in range(6):
        grad = 2.0 * theta + decay * theta
        rate += 0.01 * grad * u
        mean = momentum * mean + grad
        u = grad + momentum * mean if schedule.get("nesterov") else mean
        theta -= rate * u
        expected.append(rate)
    found, _ = descend(2.0, 0.05, 0.01, 6, **schedule)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_rate_rises_where_steps_are_short_and_falls_where_they_overshoot():
    """Consecutive gradients of a quadratic agree iff 1 - alpha a > 0."""
    short, _ = descend(2.0, 0.1, 1e-3, 2, weight_decay=0.0)
    long, _ = descend(2.0, 0.8, 1e-3, 2, weight_decay=0.0)
    assert short[1] > short[0] == pytest.approx(0.1) and long[1] < long[0] == pytest.approx(0.8)


def test_on_a_quadratic_it_nears_the_rate_that_solves_it_at_once():
    rates, places = descend(2.0, 0.05, 0.1, 60, weight_decay=0.0)
    assert rates[-1] == pytest.approx(1 / 2.0, rel=0.1) and abs(places[-1]) < 1e-6


def test_changes_that_float32_does_not_tell_from_the_rate_add_up():
    """1e-10 a step, where neighbours of 0.1 lie 7e-9 apart."""
    rates, _ = descend(0.01, 0.1, 1e-6, 50, weight_decay=0.0)
    slopes = [0.01 * (1 - 0.1 * 0.01) ** t for t in range(50)]
    expected = 1e-6 * sum(one * other for one, other in pairwise(slopes))
    assert rates[-1] - 0.1 == pytest.approx(expected, rel=1e-4)


def test_the_rate_does_not_fall_below_0():
    rates, _ = descend(2.0, 0.9, 10.0, 3, weight_decay=0.0)
    assert min(rates) == 0


SPEED = {"schedule.hypergradient_lr": 1e-3}


def test_a_trial_shows_its_rates_and_resumes_exactly():
    spec = training_spec("lr_descent", small_study(["lr_descent"]), **SPEED)
    rows, result = run_to_end(spec)
    rates = [row["lr"] for row in rows]
    assert len(set(rates)) == 3 and all(rate > 0.05 for rate in rates)
    interrupted = list(islice(run_trial(spec), 4))
    more, again = run_to_end(spec, through_a_file(interrupted[-1].snapshot()))
    assert [e.row for e in interrupted if e.row] + more == rows
    assert json.dumps(comparable(again)) == json.dumps(comparable(result))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_its_steps_are_replayed(momentum, recorder):
    """With a meta step, whose look-ahead reads the present rate."""
    how = {"decay": "hypergradient", "hypergradient_lr": 1e-3, "momentum": momentum}
    spec = in_phase(spec_of("gce_learned"), schedule=how)
    expected, _ = run(spec, fast=PLAIN)
    found, training = run(spec)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 0
    assert found == expected


def test_it_is_refused_where_a_look_ahead_is_the_real_step():
    spec = training_spec("gce_learned", small_study(["gce_learned"]))
    spec = under(spec, {"decay": "hypergradient"}, "schedule")
    for meta in ({"step": "own"}, {"lookahead": "alternating"}):
        with pytest.raises(UserError, match=r"schedule\.decay = 'hypergradient': how long"):
            next(run_trial(in_phase(spec, meta=meta)))
