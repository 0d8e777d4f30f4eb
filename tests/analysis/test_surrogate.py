"""Partial dependence of val on a hyperparameter, by a forest."""

import numpy as np
import pytest

from pipelines.analysis.surrogate import ablation_paths, partial_dependence
from tests.support.synthetic import record

SPACE = {
    "q": {"low": 0.0, "high": 1.0, "log": False, "int": False},
    "rate": {"low": 1e-3, "high": 1.0, "log": True, "int": False},
    "kind": {"choices": ["a", "b"]},
}


def trials(n=40, repeats=3):
    """Val 0.5 + 0.3 q, 10 points more of kind b, nothing of the rate; repeats differ by 20."""
    rng = np.random.default_rng(0)
    rows = []
    for repeat in range(repeats):
        for index in range(1, n + 1):
            q, rate = rng.uniform(), float(10 ** rng.uniform(-3, 0))
            kind = str(rng.choice(["a", "b"]))
            val = 0.5 + 0.3 * q + 0.1 * (kind == "b") + 0.2 * repeat
            config = {"q": q, "rate": rate, "kind": kind, "schedule.lr": 0.1}
            rows.append(record("search", index, repeat, val=val, config=config))
    return rows


@pytest.fixture(scope="module")
def curves():
    return partial_dependence(trials(), SPACE)


def test_it_follows_what_val_depends_on_and_is_flat_along_what_it_does_not(curves):
    mean = np.array(curves["q"].mean)
    assert mean[-3] - mean[2] == pytest.approx(0.3 * (22 - 2) / 24, abs=0.04)
    assert np.ptp(curves["rate"].mean) < 0.04
    a, b = curves["kind"].mean
    assert b - a == pytest.approx(0.1, abs=0.03)


def test_it_is_at_the_level_of_all_repeats_together(curves):
    assert np.mean(curves["q"].mean) == pytest.approx(0.5 + 0.15 + 0.05 + 0.2, abs=0.03)


def test_most_trees_lie_in_the_band(curves):
    for low, mean, high in zip(*curves["q"][2:0:-1], curves["q"].high, strict=True):
        assert low <= mean <= high
    assert min(np.subtract(curves["q"].high, curves["q"].low)) > 0


def test_values_are_those_of_the_range(curves):
    assert curves["q"].values[0] == 0.0 and curves["q"].values[-1] == 1.0
    rates = curves["rate"].values
    assert rates[1] / rates[0] == pytest.approx(rates[-1] / rates[-2])
    assert curves["kind"].values == ["a", "b"]
    whole = partial_dependence(
        [record("search", k, val=k / 40, config={"n": 1 + k % 4}) for k in range(40)],
        {"n": {"low": 1, "high": 4, "log": True, "int": True}},
    )
    assert whole["n"].values == [1, 2, 3, 4]


def test_too_few_trials_tell_nothing():
    assert partial_dependence(trials(5), SPACE) == {}
    assert partial_dependence([record("search", k, val=0.5) for k in range(40)], {}) == {}


DEFAULT = {"q": 0.1, "rate": 0.1, "kind": "a"}
SELECTED = {"q": 0.9, "rate": 0.01, "kind": "b"}


def test_the_way_to_what_was_selected_takes_the_best_step_first():
    [path] = ablation_paths(trials(), SPACE, DEFAULT, [SELECTED])
    assert [step.knob for step in path][:2] == ["q", "kind"] and len(path) == 3
    gains = {step.knob: step.gain for step in path}
    assert gains["q"] == pytest.approx(0.3 * 0.8, abs=0.05)
    assert gains["kind"] == pytest.approx(0.1, abs=0.03)
    assert gains["rate"] == pytest.approx(0.0, abs=0.03)


def test_its_steps_add_up_and_what_stays_adds_nothing():
    there, half = ablation_paths(trials(), SPACE, DEFAULT, [SELECTED, DEFAULT | {"kind": "b"}])
    back, *_ = ablation_paths(trials(), SPACE, SELECTED, [DEFAULT])
    assert sum(s.gain for s in there) == pytest.approx(-sum(s.gain for s in back))
    assert half[0].knob == "kind" and [s.gain for s in half[1:]] == [0.0, 0.0]


def test_without_trials_or_with_one_hyperparameter_there_is_no_way():
    assert ablation_paths(trials(5), SPACE, DEFAULT, [SELECTED]) == []
    assert ablation_paths(trials(), {"q": SPACE["q"]}, DEFAULT, [SELECTED]) == []
