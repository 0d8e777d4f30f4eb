"""What tuning is worth, on cases worked by hand and on responses whose shape is known."""

import numpy as np
import optuna
import pytest

from pipelines.analysis.tunability import (
    importance,
    in_halved_space,
    knob_gains,
    transfer_regret,
    variance_shares,
)
from tests.support.synthetic import record

UNIT = {"low": 0.0, "high": 1.0}


def search_record(index, val, repeat=0, **config):
    return record("search", index, repeat, val=val, config=config)


class TestHalvedSpace:
    @pytest.mark.parametrize(
        ("q", "inside"), [(0.24, False), (0.25, True), (0.75, True), (0.8, False)]
    )
    def test_keeps_the_centred_half(self, q, inside):
        assert in_halved_space({"q": q}, {"q": UNIT}) is inside

    @pytest.mark.parametrize(
        ("lr", "inside"), [(0.03, False), (0.04, True), (0.9, True), (3.5, False)]
    )
    def test_of_the_logarithm_where_log(self, lr, inside):
        # The range spans 4 decades about 10^-0.5, so the half spans 10^-1.5 to 10^0.5.
        space = {"schedule.lr": {"low": 10**-2.5, "high": 10**1.5, "log": True}}
        assert in_halved_space({"schedule.lr": lr}, space) is inside

    def test_choices_cannot_be_halved(self):
        assert in_halved_space({"kind": "b"}, {"kind": {"choices": ["a", "b"]}})


class TestImportance:
    def test_finds_the_hyperparameter_that_matters_whatever_the_repeat_adds(self):
        rng = np.random.default_rng(0)
        space = {"matters": UNIT, "idle": UNIT, "width": {"low": 1, "high": 8, "int": True}}
        records = [
            search_record(k, 10 * r - (x - 0.5) ** 2, r, matters=x, idle=y, width=int(w))
            for r in range(3)
            for k, (x, y, w) in enumerate(
                zip(rng.uniform(size=30), rng.uniform(size=30), rng.integers(1, 9, 30), strict=True)
            )
        ]
        optuna.logging.set_verbosity(optuna.logging.INFO)  # as it is when a command starts
        shares = importance(records, space)
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR  # it says nothing
        assert shares is not None
        assert max(shares, key=lambda name: shares[name]) == "matters"
        assert shares["matters"] > 0.7
        variance = variance_shares(records, space)
        assert variance is not None and variance["matters"] > 0.7
        assert variance == variance_shares(records, space)  # its forest has a seed
        assert sum(shares.values()) == pytest.approx(1)

    def test_says_nothing_of_too_few_or_equal_trials(self):
        space = {"a": UNIT, "b": UNIT}
        trials = [search_record(k, 0.5, a=k / 30, b=0.5) for k in range(30)]
        assert importance(trials, space) is None
        assert importance(trials[:5], space) is None


class TestKnobGains:
    def test_by_hand_the_value_is_chosen_on_the_other_repeats(self):
        val = [[0, 0, 0], [9, 1, 1], [1, 2, 2]]
        test = [[10, 20, 30], [11, 21, 31], [15, 25, 35]]
        # Repeat 0 is served by the others' favourite (value 2), repeats 1 and 2 by repeat 0's.
        assert knob_gains(val, test).tolist() == [5, 1, 1]

    def test_pure_luck_gains_nothing(self):
        rng = np.random.default_rng(0)
        gains = []
        for _ in range(2000):
            run = rng.normal(size=(5, 3))
            gains.append(knob_gains(run, run).mean())  # val and test share the run's luck
        assert np.mean(gains) == pytest.approx(0, abs=0.05)

    def test_one_repeat_leaves_nothing_to_choose_by(self):
        assert knob_gains([[0.0], [1.0]], [[0.0], [1.0]]).size == 0


class TestTransferRegret:
    def test_by_hand(self):
        val = [[[1, 2]], [[2, 1]]]
        test = [[[5, 7]], [[4, 1]]]
        assert transfer_regret(val, test)[..., 0].tolist() == [[0, 3], [2, 0]]

    def test_ties_on_val_are_averaged(self):
        val = [[[1, 1]], [[2, 1]]]
        test = [[[5, 7]], [[4, 1]]]
        assert transfer_regret(val, test)[..., 0].tolist() == [[0, 1.5], [1, 0]]
