"""Points that are laid out beforehand: each depends on its number and the seed alone."""

from collections import Counter
from itertools import pairwise, product
from math import inf, log

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipelines.planning.designs import (
    coarsest_grid,
    grid_point,
    grid_size,
    sobol_point,
    value_at,
)

SPACE = {
    "q": FloatDistribution(0.0, 1.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "times": IntDistribution(1, 3),
    "kind": CategoricalDistribution(["a", "b"]),
}


def test_a_share_of_a_range_is_a_value_of_it():
    assert value_at(SPACE["q"], 0.25) == 0.25
    assert value_at(SPACE["lr"], 0.5) == pytest.approx(1e-2)
    thirds = Counter(value_at(SPACE["times"], k / 300) for k in range(300))
    assert thirds.keys() == {1, 2, 3} and max(thirds.values()) <= 101
    assert Counter(value_at(SPACE["kind"], k / 10) for k in range(10)) == {"a": 5, "b": 5}
    logs = {value_at(IntDistribution(1, 100, log=True), k / 1000) for k in range(1000)}
    assert min(logs) == 1 and max(logs) == 100


def test_a_sobol_sequence_fills_every_range_evenly():
    points = [sobol_point(SPACE, 7, k) for k in range(16)]
    for name, place in (("q", float), ("lr", lambda lr: 1 + log(lr) / log(1e4))):
        sixteenths = {int(16 * place(p[name])) for p in points}
        assert sixteenths == set(range(16))  # one point in each
    assert Counter(p["kind"] for p in points) == {"a": 8, "b": 8}


def test_a_sobol_point_depends_on_its_number_and_the_seed_alone():
    assert sobol_point(SPACE, 7, 5) == sobol_point(SPACE, 7, 5)
    assert sobol_point(SPACE, 7, 5) != sobol_point(SPACE, 8, 5)


def test_grids_halve_their_spacing_and_repeat_no_point():
    space = {"q": FloatDistribution(0.0, 1.0), "r": FloatDistribution(0.0, 1.0)}
    points = [(p["q"], p["r"]) for p in (grid_point(space, 3, k) for k in range(81))]
    for halvings in (1, 2, 3):
        values = np.linspace(0, 1, 2**halvings + 1).tolist()
        assert set(points[: len(values) ** 2]) == set(product(values, values))
    assert len(set(points)) == 81


def test_a_grid_has_all_choices_and_both_ends_of_whole_numbers():
    space = {"kind": SPACE["kind"], "times": SPACE["times"]}
    points = [grid_point(space, 0, k) for k in range(6)]
    assert {(p["kind"], p["times"]) for p in points} == set(product("ab", (1, 2, 3)))
    with pytest.raises(IndexError):
        grid_point(space, 0, 6)
    assert (grid_size(space), coarsest_grid(space)) == (6, 6)
    assert (grid_size(SPACE), coarsest_grid(SPACE)) == (inf, 54)


def test_a_long_range_of_whole_numbers_is_filled_in_the_end():
    space = {"width": IntDistribution(1, 40, log=True)}
    assert {grid_point(space, 0, k)["width"] for k in range(40)} == set(range(1, 41))


def test_the_order_within_a_grid_is_drawn_by_the_seed():
    space = {"q": FloatDistribution(0.0, 1.0)}
    orders = {tuple(grid_point(space, seed, k)["q"] for k in range(3)) for seed in range(20)}
    assert len(orders) == 6
    assert all(a != b for order in orders for a, b in pairwise(order))
