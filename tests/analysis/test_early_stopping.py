"""Rules for early stopping by hand, against independent loops, and against Optuna's own pruner."""

from fractions import Fraction
from itertools import permutations
from math import ceil, inf, nan

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipelines.analysis.budget import budget_curve
from pipelines.analysis.early_stopping import DRAWS, outcome, stopped_curve
from pipelines.analysis.stopping import STARTUP, Halving, Median, Patience

#: Six trials of nine epochs at the rungs 1/9, 1/3 and 1; an epoch costs 10 passes.
VAL = np.array(
    [
        [0.5, 0.5, 0.5],
        [0.6, 0.4, 0.9],  # lost at the second rung
        [0.4, 0.9, 0.95],  # the best, lost at the first one
        [0.7, 0.6, 0.6],
        [0.1, 0.1, 0.1],
        [0.2, 0.2, 0.2],
    ]
)
PASSES = np.tile([10.0, 30.0, 90.0], (6, 1))
IN_TURN = np.arange(6)[None]


def halved(val, passes, eta):
    """What one search of those trials, in their order, selects and costs; a loop with sets."""
    alive, spent = list(range(len(val))), 0.0
    for rung in range(val.shape[1]):
        spent += sum(passes[t][rung] - (passes[t][rung - 1] if rung else 0) for t in alive)
        if rung < val.shape[1] - 1:
            best = sorted(alive, key=lambda t: (-val[t][rung], t))
            alive = best[: ceil(len(alive) / eta)]
    return {t for t in alive if val[t][-1] == max(val[a][-1] for a in alive)}, spent


class TestHalving:
    def test_by_hand_six_trials(self):
        # Rung 1: all six, the best two of them (0.7 and 0.6) go on; rung 2: 0.6 beats 0.4.
        scores, spent = outcome(Halving(3, 3), VAL, PASSES, IN_TURN)
        assert scores.tolist() == [[-inf, -inf, -inf, 0.6, -inf, -inf]]
        assert spent.tolist() == [6 * 10 + 2 * 20 + 1 * 60]

    def test_rungs_are_powers_of_eta(self):
        assert Halving(3, 3).shares(60) == [Fraction(1, 9), Fraction(1, 3), 1]
        assert Halving(2, 4).shares(60) == [Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), 1]

    def test_of_those_that_tie_at_a_rung_the_earlier_trial_goes_on(self):
        val = np.array([[0.5, 0.1], [0.5, 0.9]])
        for order, kept in (([0, 1], 0.1), ([1, 0], 0.9)):
            scores, _ = outcome(Halving(2, 2), val, np.ones((2, 2)), np.array([order]))
            assert scores.max() == kept

    def test_a_failed_trial_is_never_kept_before_another_one(self):
        val = np.array([[-inf, -inf], [0.0, 0.1]])
        scores, _ = outcome(Halving(2, 2), val, np.ones((2, 2)), np.array([[0, 1]]))
        assert scores.tolist() == [[-inf, 0.1]]

    def test_a_single_trial_runs_to_its_end(self):
        scores, spent = outcome(Halving(3, 3), VAL[:1], PASSES[:1], np.array([[0]]))
        assert (scores.tolist(), spent.tolist()) == ([[0.5]], [90.0])

    @given(st.data(), st.integers(2, 4), st.integers(1, 4), st.integers(1, 9))
    @settings(max_examples=60, deadline=None)
    def test_equals_an_independent_loop(self, data, eta, rungs, trials):
        levels = st.sampled_from([-inf, 0.0, 0.25, 0.5, 1.0])  # few: many ties
        val = data.draw(hnp.arrays(float, (trials, rungs), elements=levels))
        steps = data.draw(hnp.arrays(float, (trials, rungs), elements=st.integers(0, 9)))
        passes = steps.cumsum(axis=1)
        order = np.array(list(data.draw(st.permutations(range(trials)))))
        scores, spent = outcome(Halving(eta, rungs), val, passes, order[None])
        chosen, cost = halved(val[order], passes[order], eta)
        if scores.max() > -inf:  # else all that were kept had failed
            assert set(np.flatnonzero(scores[0] == scores.max()).tolist()) == chosen
        assert spent[0] == cost


class TestMedian:
    def test_by_hand_the_sixth_trial_is_stopped_where_it_falls_below_the_median(self):
        val = np.tile(np.linspace(0.1, 0.9, 9), (7, 1))
        val[5, :3], val[5, 3:] = 0.9, 0.0  # its best val so far is what counts: never below
        val[6] = [0.1, 0.2, 0.25, *[0.9] * 6]  # below the median of 0.3 at the third ninth
        passes = np.tile(np.arange(1.0, 10.0), (7, 1))
        scores, spent = outcome(Median(), val, passes, np.arange(7)[None])
        assert np.isinf(scores[0]).tolist() == [False] * 6 + [True]
        assert spent.tolist() == [6 * 9 + 3]

    def test_the_first_five_that_do_not_fail_run_to_their_end(self):
        val = np.tile(np.linspace(0.9, 0.1, 6)[:, None], (1, 9))
        val[0] = -inf  # failed: only four ended before the last one
        scores, _ = outcome(Median(), val, np.ones((6, 9)), np.arange(6)[None])
        assert np.isinf(scores[0]).tolist() == [True] + [False] * 5

    @pytest.mark.parametrize("seed", range(5))
    def test_equals_optunas_pruner(self, seed):
        val = np.random.default_rng(seed).integers(0, 8, (14, 9)).astype(float)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        ran = []
        for row in val:
            trial = study.ask()
            for step, value in enumerate(row[:-1]):
                trial.report(value, step)
                if trial.should_prune():
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    ran.append(step + 1)
                    break
            else:
                study.tell(trial, row[-1])
                ran.append(9)
        passes = np.tile(np.arange(1.0, 10.0), (14, 1))
        scores, spent = outcome(Median(), val, passes, np.arange(14)[None])
        assert np.isinf(scores[0]).tolist() == [epochs < 9 for epochs in ran]
        assert spent.tolist() == [sum(ran)]


class TestPatience:
    def test_by_hand_a_trial_stops_a_fifth_of_its_epochs_after_its_best(self):
        val = np.array(
            [
                [0.1, 0.5, 0.4, 0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9],  # stops at epoch 4, with 0.3
                [0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.6],  # rises every second epoch
            ]
        )
        passes = np.tile(np.arange(1.0, 11.0), (2, 1))
        scores, spent = outcome(Patience(), val, passes, np.array([[0, 1], [1, 0]]))
        assert scores.tolist() == [[0.3, 0.6], [0.6, 0.3]]
        assert spent.tolist() == [14, 14]

    def test_a_trial_of_one_epoch_runs_it(self):
        scores, spent = outcome(Patience(), np.array([[0.7]]), np.array([[5.0]]), np.array([[0]]))
        assert (scores.tolist(), spent.tolist()) == ([[0.7]], [5.0])


class TestCurve:
    RETRAINED = np.array([0.50, 0.90, 0.95, 0.60, 0.10, 0.20])

    def test_the_whole_search_by_hand(self):
        [whole] = stopped_curve(Halving(3, 3), VAL, PASSES, self.RETRAINED, [5])
        assert whole.score == pytest.approx(0.60)  # instead of 0.95, of the highest last val
        assert whole.whole == pytest.approx(0.95)
        assert (whole.passes, whole.whole_passes, whole.same) == (160, 540, 0)

    def test_budget_zero_is_the_default_at_no_cost(self):
        [none] = stopped_curve(Halving(3, 3), VAL, PASSES, self.RETRAINED, [0])
        assert none == (0.5, 0.5, 0, 0, 1)

    def test_equals_the_mean_over_all_searches_one_by_one(self):
        curve = stopped_curve(Halving(3, 3), VAL, PASSES, self.RETRAINED, range(6))
        for b in range(1, 6):
            scores, costs = [], []
            for rest in permutations(range(1, 6), b):
                order = [0, *rest]
                chosen, cost = halved(VAL[order], PASSES[order], 3)
                scores.append(np.mean([self.RETRAINED[order[place]] for place in chosen]))
                costs.append(cost)
            # The score's change is drawn, DRAWS[1] times at most, and lies between -1 and 1.
            error = 4 * np.std(scores) / np.sqrt(DRAWS[1]) + 1e-9
            assert curve[b].score == pytest.approx(np.mean(scores), abs=error)
            assert curve[b].passes == pytest.approx(np.mean(costs))

    def test_a_rule_that_stops_nothing_leaves_the_budget_curve(self):
        ended = np.array([0.5, 0.7, 0.5, 0.7, 0.1])[:, None]  # with ties, also with the default
        retrained = np.array([0.5, 0.8, 0.4, 0.6, 0.3])
        curve = stopped_curve(Halving(rungs=1), ended, np.ones((5, 1)), retrained, range(5))
        assert [p.score for p in curve] == budget_curve(ended[:, 0], retrained).tolist()
        assert [p.passes for p in curve] == [0, 2, 3, 4, 5]
        assert {p.same for p in curve} == {1.0}

    def test_is_the_same_each_time(self):
        curves = [
            stopped_curve(Halving(3, 3), VAL, PASSES, self.RETRAINED, [2, 3]) for _ in range(2)
        ]
        assert curves[0] == curves[1]

    def test_a_failed_trial_costs_what_the_others_do_at_the_rung_where_it_ends(self):
        val, passes = VAL.copy(), PASSES.copy()
        val[5], passes[5] = -inf, nan
        [whole] = stopped_curve(Halving(3, 3), val, passes, self.RETRAINED, [5])
        assert (whole.score, whole.passes) == (pytest.approx(0.60), 160)

    def test_a_missing_retrained_score_shows_where_the_rule_selects_it(self):
        retrained = self.RETRAINED.copy()
        retrained[3] = nan
        [some, whole] = stopped_curve(Halving(3, 3), VAL, PASSES, retrained, [1, 5])
        assert np.isnan(some.score) and np.isnan(whole.score)
        retrained = self.RETRAINED.copy()
        retrained[4] = nan  # which nothing selects
        assert not np.isnan(stopped_curve(Halving(3, 3), VAL, PASSES, retrained, [5])[0].score)
