"""NSGA-II, made anew for each suggestion, does what Optuna's own does when it goes on."""

from math import nan

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIISampler

from pipelines.planning.nsga2 import GENERATION, nsga2_point
from pipelines.planning.specs import Ended

SPACE = {
    "x": FloatDistribution(0.0, 4.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "times": IntDistribution(1, 20),
    "kind": CategoricalDistribution(["a", "b"]),
}
DEFAULT = {"x": 3.5, "lr": 0.1, "times": 10, "kind": "b"}


def aims(config) -> tuple[float, float]:
    """To be high, and to be low: between x = 1 and x = 2 one is paid for with the other."""
    waste = config["times"] / 20 + (config["kind"] == "b")
    return -((config["x"] - 2) ** 2) - waste, (config["x"] - 1) ** 2 + waste


def searched(trials: int) -> dict[int, Ended]:
    found: dict[int, Ended] = {}
    for index in range(trials):
        config = nsga2_point(SPACE, index, found, "passes")
        found[index] = Ended(config, *aims(config))
    return found


class Reference(NSGAIISampler):
    """Optuna's, which notes down generations as it goes; parents are not kept in another order."""

    def get_parent_population(self, study, generation):
        return self.select_parent(study, generation) if generation else []


def test_equals_optunas_sampler_that_keeps_its_own_notes():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for index in range(4 * GENERATION):
        study.sampler = Reference(population_size=GENERATION, seed=index)
        trial = study.ask(SPACE)
        study.tell(trial, aims(trial.params))
    expected = [trial.params for trial in study.trials]
    assert [trial.config for trial in searched(4 * GENERATION).values()] == expected


def test_a_generation_counts_once_all_of_it_has_ended():
    found = searched(GENERATION + 1)
    point = nsga2_point(SPACE, 9, found, "passes")
    assert point == nsga2_point(SPACE, 9, {k: found[k] for k in range(GENERATION)}, "passes")
    some = {k: trial for k, trial in found.items() if k != 4}
    assert nsga2_point(SPACE, 9, some, "passes") == nsga2_point(SPACE, 9, {}, "passes") != point


@pytest.mark.parametrize("aim", ["passes", "auroc"])
@pytest.mark.parametrize("score", [None, nan])
def test_a_trial_that_failed_is_the_worst_by_both_aims(score, aim):
    found = searched(GENERATION)
    worst = Ended(found[3].config, -1e9, 1e9 if aim == "passes" else -1e9)
    told, as_if = ({**found, 3: trial} for trial in (worst, Ended(found[3].config, score)))
    for seed in range(5):
        assert nsga2_point(SPACE, seed, told, aim) == nsga2_point(SPACE, seed, as_if, aim)


def test_a_search_goes_on_whose_first_generation_failed():
    found = {i: trial._replace(score=None) for i, trial in searched(GENERATION).items()}
    for index in range(GENERATION, 3 * GENERATION):
        found[index] = Ended(nsga2_point(SPACE, index, found, "passes"), None)
    assert len({str(trial.config) for trial in found.values()}) > GENERATION


@pytest.mark.parametrize("sign", [1, -1])
def test_it_gathers_along_the_front_whichever_way_the_second_aim_points(sign):
    found = {0: Ended(DEFAULT, 0.0, 0.0)}
    for index in range(1, 56):
        config = nsga2_point(SPACE, index, found, "passes" if sign > 0 else "auroc")
        high, low = aims(config)
        found[index] = Ended(config, high, sign * low)
    late = [found[index].config for index in range(40, 56)]
    # at random it would be 3 of 16
    assert sum(0.8 < c["x"] < 2.2 and c["kind"] == "a" for c in late) >= 7
