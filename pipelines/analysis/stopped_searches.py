"""What early stopping would have done to an arm's searches: from its runs to results.json."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil, inf, isnan, nan

import numpy as np
from scipy.stats import rankdata

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import interval_json
from pipelines.analysis.budget_schema import (
    BudgetPoint,
    EarlyStopping,
    RankAgreement,
    StoppedBy,
    Stopping,
)
from pipelines.analysis.early_stopping import Stopped, stopped_curve
from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.analysis.intervals import estimate
from pipelines.analysis.record import Record
from pipelines.analysis.runs import Floats
from pipelines.analysis.stopping import Halving, Median, Patience, Rule
from pipelines.metrics import METRICS

#: Halvings by eta and number of rungs; that of the headline first, which is what is used most.
HALVINGS = ((3, 3), (3, 2), (2, 4), (4, 3))
SHARES = 18  # of the epochs, at which ranks are compared: ninths and thirds are among them
FEWEST = 3  # trials that have ranks to speak of
CORRELATIONS = (-1.0, 1.0)


class StoppedSearches:
    """An arm's random searches, had trials been stopped early; where a history is gone, none."""

    def __init__(self, runs: ArmRuns) -> None:
        self.metric = runs.metric
        whole = {
            repeat: trials
            for repeat in runs.curves()
            if len(trials := list(runs.search[repeat].values())) > 1  # not the default alone
        }
        self.trials = {r: trials for r, trials in whole.items() if _has_courses(trials)}
        self.retrained = {
            repeat: np.array([_mean(scores) for scores in runs.candidates(repeat)[1]])
            for repeat in self.trials
        }
        read = any(r.course for trials in whole.values() for r in trials)
        self.lost = sorted(whole.keys() - self.trials.keys()) if read else []
        courses = [r.course for trials in self.trials.values() for r in trials if r.course]
        self.shortest = min((course.epochs for course in courses), default=0)
        self.longest = max((course.epochs for course in courses), default=0)

    @cached_property
    def rules(self) -> list[Rule]:
        """Those that the trials are long enough for; the headline's first.

        The first rung of a halving is an epoch at least: one with fewer rungs takes its place.
        """
        fit = [Halving(eta, n) for eta, n in HALVINGS if eta ** (n - 1) <= self.shortest]
        return [*(fit or [Halving(rungs=1)]), Median(), Patience()]

    @cached_property
    def curves(self) -> dict[int, list[Stopped]]:
        """Per repeat what the headline's rule would have made of b = 0..B random trials."""
        return {
            repeat: self._of(self.rules[0], repeat, range(len(trials)))
            for repeat, trials in self.trials.items()
        }

    def at_the_end(self, rule: Rule) -> dict[int, Stopped]:
        """Per repeat what a rule would have made of the whole search."""
        return {
            repeat: self._of(rule, repeat, [len(trials) - 1])[0]
            for repeat, trials in self.trials.items()
        }

    def _of(self, rule: Rule, repeat: int, budgets: Sequence[int]) -> list[Stopped]:
        trials = self.trials[repeat]
        val, passes = _at(trials, rule.shares(self.longest))
        return stopped_curve(rule, val, passes, self.retrained[repeat], budgets)


def scores_of(curves: Mapping[int, Sequence[Stopped]]) -> dict[int, Floats]:
    """Per repeat the expected scores at b = 0..B, of which none is missing."""
    scores = {repeat: np.array([p.score for p in points]) for repeat, points in curves.items()}
    return {repeat: curve for repeat, curve in scores.items() if not np.isnan(curve).any()}


def passes_of(curves: Mapping[int, Sequence[Stopped]]) -> list[float]:
    """Mean cost of a search at each budget that all repeats share."""
    by_budget = zip(*curves.values(), strict=False)
    return [float(np.mean([point.passes for point in points])) for points in by_budget]


def early_stopping(stopped: StoppedSearches) -> EarlyStopping:
    """The entry of an arm in results.json; its lists are empty where no search has histories."""
    curves = stopped.curves
    scores, passes = scores_of(curves), passes_of(curves)
    curve: list[BudgetPoint] = []
    for b in range(min(map(len, scores.values()), default=0)):
        at_b = {repeat: float(points[b]) for repeat, points in scores.items()}
        interval = _interval(at_b, METRICS[stopped.metric].bounds)
        curve.append({"budget": b, "passes": passes[b], **interval})
    rules = [_stopped_by(stopped, rule) for rule in stopped.rules] if stopped.trials else []
    return {"curve": curve, "rules": rules, "ranks": rank_agreement(stopped.trials)}


def _interval(by_repeat: Mapping[int, float], bounds: tuple[float, float]) -> IntervalJson:
    """Mean and interval over repeats."""
    values = {(repeat, 0): value for repeat, value in by_repeat.items()}
    return interval_json(estimate(values, bounds=bounds))


def _stopped_by(stopped: StoppedSearches, rule: Rule) -> StoppedBy:
    ends, metric = stopped.at_the_end(rule), METRICS[stopped.metric]
    change = {repeat: end.score - end.whole for repeat, end in ends.items()}
    saved = {repeat: 1 - end.passes / end.whole_passes for repeat, end in ends.items()}
    return {
        "rule": rule.name,
        "budget": min(map(len, stopped.trials.values())) - 1,
        "score": _interval({repeat: end.score for repeat, end in ends.items()}, metric.bounds),
        "difference": _interval(change, metric.difference_bounds),
        "passes_saved": _interval(saved, (0.0, 1.0)),
        "same": float(np.mean([end.same for end in ends.values()])),
    }


def really_stopped(rule: str, searches: Mapping[int, Mapping[int, Record]]) -> Stopping:
    """What a rule did to searches, by repeat and index, as far as they have come.

    A trial that was stopped would have cost as much per epoch until its end.
    """
    saved: dict[int, float] = {}
    for repeat, trials in searches.items():
        ran = [r for r in trials.values() if r.status != "failed"]
        whole = sum(_whole_passes(r) for r in ran)
        if whole:
            saved[repeat] = 1 - sum(r.passes for r in ran) / whole
    every = [r for trials in searches.values() for r in trials.values()]
    return {
        "rule": rule,
        "trials": len(every),
        "stopped": sum(r.status == "stopped" for r in every),
        "passes_saved": _interval(saved, (0.0, 1.0)),
    }


def _whole_passes(record: Record) -> float:
    if record.stopped_epoch is None or record.course is None:
        return record.passes
    return record.passes * record.course.epochs / record.stopped_epoch


def rank_agreement(searches: Mapping[int, Sequence[Record]]) -> list[RankAgreement]:
    """Spearman's correlation of val at shares of the epochs with that of the last one.

    Over the trials of each search, failed ones apart; mean and interval over repeats. Where all
    trials score alike nothing is ranked: 0, and no number at all where the last epoch does so.
    """
    trials = {
        repeat: ran
        for repeat, records in searches.items()
        if len(ran := [r for r in records if r.status != "failed"]) >= FEWEST
    }
    if not trials:
        return []
    longest = max(r.course.epochs for ran in trials.values() for r in ran if r.course)
    count = min(longest, SHARES)
    shares = [Fraction(k, count) for k in range(1, count + 1)]
    by_repeat = {repeat: _correlations(_at(ran, shares)[0]) for repeat, ran in trials.items()}
    return [
        {
            "share": float(share),
            **_interval({repeat: float(c[k]) for repeat, c in by_repeat.items()}, CORRELATIONS),
        }
        for k, share in enumerate(shares)
    ]


def _correlations(val: Floats) -> Floats:
    """Rank correlation of each column of val [n, K] with the last one; ties share their ranks."""
    ranks = rankdata(val, axis=0)
    deviations = ranks - ranks.mean(axis=0)
    norms = np.sqrt((deviations**2).sum(axis=0))
    if norms[-1] == 0:
        return np.full(val.shape[1], nan)
    products = deviations.T @ deviations[:, -1]
    return products / np.where(norms > 0, norms * norms[-1], 1.0)


def _at(trials: Sequence[Record], shares: Sequence[Fraction]) -> tuple[Floats, Floats]:
    """Val and passes [n, K] of trials at shares of their epochs: the epoch that completes it.

    The last share is the whole run. A diverged trial has the worst val from then on, and costs
    nothing more; a failed one has val -inf, and what it cost is not known.
    """
    points = [[_point(r, share) for share in shares] for r in trials]
    values = np.array(points, dtype=float)
    return values[:, :, 0], values[:, :, 1]


def _point(record: Record, share: Fraction) -> tuple[float, float]:
    if record.course is None or isnan(record.val):  # it failed
        return -inf, nan if record.status == "failed" else record.passes
    epoch = ceil(share * record.course.epochs)
    ended = share == 1 or epoch > len(record.course.val)
    val = record.val if ended else record.course.val[epoch - 1]
    ran = record.course.passes
    return val, record.passes if ended or epoch > len(ran) else ran[epoch - 1]


def _has_courses(trials: Sequence[Record]) -> bool:
    """Whether some ran, and all of those have their histories."""
    ran = [r for r in trials if r.status != "failed"]
    return bool(ran) and all(r.course and r.course.passes for r in ran)


def _mean(scores: Floats) -> float:
    return float(scores.mean()) if scores.size else nan
