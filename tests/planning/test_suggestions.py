"""Kinds of search: which a study may name, and that samplers of one's own are what they must be."""

import pytest
from optuna.samplers import CmaEsSampler, RandomSampler, TPESampler

from pipelines.errors import UserError
from pipelines.planning.planner import Planner
from pipelines.planning.suggestions import check_search
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS
from tests.planning.test_planner import drain

FEW = {
    "about": "two choices",
    "kind": "tuned loss",
    "phases": [{"method": "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"}],
    "default": {"schedule.nesterov": False},
    "space": {"schedule.nesterov": {"choices": [True, False]}},
}
OWN = "tests.planning.test_suggestions"


def gathering(seed: int) -> TPESampler:
    """A sampler of one's own."""
    return TPESampler(seed=seed, n_startup_trials=3)


def no_sampler(seed: int) -> str:
    return "none"


class Broken(RandomSampler):
    """Fails at its first suggestion."""

    def sample_independent(self, *_):
        raise ValueError("it is broken")


def stateful(seed: int) -> CmaEsSampler:
    return CmaEsSampler(seed=seed)


def study_by(search: str, arms=("gce",), **request) -> Study:
    raw = {"name": "s", "protocol": DIGITS | {"search": search}}
    return parse_study(
        raw | {"request": {"arms": list(arms), "trials": 6, "repeats": 2, "seeds": 1} | request},
        "s",
    )


def searched(study: Study, outcomes=None, suggested=None) -> dict[tuple[int, int], dict]:
    plan = Planner(study, "protocol", outcomes or {}, suggested or {})
    return {(s["repeat"], s["index"]): s["config"] for s in drain(plan) if s["role"] == "search"}


@pytest.mark.parametrize("search", ["cmaes", "qmc", "grid", f"{OWN}:gathering"])
def test_a_search_is_the_same_each_time_and_extended_without_another_one(search):
    short, long = searched(study_by(search)), searched(study_by(search, trials=9))
    assert len(short) == 14 and len(long) == 20
    assert short.items() <= long.items()
    assert short == searched(study_by(search))
    assert short[0, 0] == {"q": 0.7}  # trial 0 is the published default
    assert short[0, 1] != short[1, 1] or short[0, 2] != short[1, 2]  # repeats differ


def test_a_sampler_of_ones_own_learns_from_what_was_found():
    study = study_by(f"{OWN}:gathering", trials=25, repeats=1)
    plan = Planner(study, "protocol", {}, {})
    specs = drain(plan, score=lambda spec: -abs(spec["config"]["q"] - 0.2))
    late = [s["config"]["q"] for s in specs if s["role"] == "search"][-8:]
    assert sum(abs(q - 0.2) < 0.15 for q in late) >= 6
    assert not [s for s in specs if s["role"] == "curve"]  # curves are of random searches


@pytest.mark.parametrize("search", ["annealing", "mine:", ":Sampler", "a b:c", ""])
def test_a_kind_of_search_that_is_none_is_refused(search):
    with pytest.raises(UserError, match=r"protocol.search.*'random', 'tpe', .* or module:sampler"):
        study_by(search)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_sampler", "called with seed it gives a str, no sampler of Optuna"),
        ("Broken", "fails: it is broken"),
        ("stateful", "a CmaEsSampler needs notes that it took of earlier trials"),
        ("DIGITS", "cannot be called with seed: 'dict' object is not callable"),
        ("nothing", "has no 'nothing'"),
    ],
)
def test_a_sampler_that_is_of_no_use_is_refused_before_a_launch(name, message):
    study = study_by(f"{OWN}:{name}")
    with pytest.raises(UserError) as refused:
        check_search(study)
    assert message in str(refused.value) and f"{OWN}:{name}" in str(refused.value)


def test_a_grid_that_has_fewer_points_than_trials_are_asked_for_is_refused():
    raw = {"name": "s", "protocol": DIGITS | {"search": "grid"}, "arms": {"few": FEW}}
    for trials, fits in ((2, True), (3, False)):
        study = parse_study(raw | {"request": {"arms": ["few"], "trials": trials}}, "s")
        if fits:
            check_search(study)
            continue
        with pytest.raises(UserError, match=r"grid of arm 'few' has 2 points; request.trials = 3"):
            check_search(study)


def test_cma_es_has_no_choices():
    raw = {"name": "s", "protocol": DIGITS | {"search": "cmaes"}, "arms": {"few": FEW}}
    study = parse_study(raw | {"request": {"arms": ["few"]}}, "s")
    with pytest.raises(UserError, match=r"schedule.nesterov of arm 'few' is a choice, no range"):
        check_search(study)
