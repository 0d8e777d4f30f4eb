"""What tuning an arm, or one of its hyperparameters, is worth: pure functions on records."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import ArrayLike
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from pipelines.analysis.record import Range, Record
from pipelines.analysis.runs import Floats

IMPORTANCE_QUANTILE = 0.25
MIN_TRIALS_FOR_IMPORTANCE = 20


def in_halved_space(config: Mapping[str, Any], space: Mapping[str, Range]) -> bool:
    """Whether every value lies in the centred half of its range (of its logarithm where log).

    Choices cannot be halved and always count as inside. Restricting random trials to these is the
    same as having drawn them from the halved space.
    """
    return all(
        _centred(float(config[name]), knob) for name, knob in space.items() if "choices" not in knob
    )


def _centred(value: float, knob: Range) -> bool:
    scale = math.log if knob.get("log") else float
    low, high = scale(knob["low"]), scale(knob["high"])
    return abs(scale(value) - (low + high) / 2) <= (high - low) / 4


class Scored(NamedTuple):
    """Configurations and their vals, centred within each repeat, since repeats differ in data.

    level: what was taken from them, on average.
    """

    configs: Sequence[Mapping[str, Any]]
    values: list[float]
    level: float


def scored_trials(records: Sequence[Record], space: Mapping[str, Range]) -> Scored | None:
    """The trials that importance and dependence are told from.

    None below `MIN_TRIALS_FOR_IMPORTANCE` finite ones, or where all of them score alike: nothing
    can be told apart then.
    """
    usable = [r for r in records if math.isfinite(r.val)]
    by_repeat: dict[int, list[float]] = {}
    for record in usable:
        by_repeat.setdefault(record.repeat, []).append(record.val)
    values = [r.val - float(np.mean(by_repeat[r.repeat])) for r in usable]
    if not space or len(usable) < MIN_TRIALS_FOR_IMPORTANCE or np.ptp(values) == 0:
        return None
    configs = [{name: r.config[name] for name in space} for r in usable]
    return Scored(configs, values, float(np.mean([r.val for r in usable])))


def importance(records: Sequence[Record], space: Mapping[str, Range]) -> dict[str, float] | None:
    """Share of each hyperparameter in reaching the best quarter of the random trials, sum 1.

    PED-ANOVA (Watanabe et al. 2023) on `val`. None where too few trials tell, or with fewer than
    two hyperparameters.
    """
    return _shares(
        records,
        space,
        PedAnovaImportanceEvaluator(target_quantile=IMPORTANCE_QUANTILE, evaluate_on_local=False),
    )


def variance_shares(
    records: Sequence[Record], space: Mapping[str, Range]
) -> dict[str, float] | None:
    """Share of each hyperparameter in the variance of val over the whole space, sum 1.

    fANOVA (Hutter et al. 2014): main effects in a forest that is fitted to the trials. None as of
    `importance`.
    """
    return _shares(records, space, FanovaImportanceEvaluator(seed=0))


def _shares(
    records: Sequence[Record], space: Mapping[str, Range], evaluator: BaseImportanceEvaluator
) -> dict[str, float] | None:
    trials = scored_trials(records, space)
    if trials is None or len(space) < 2:
        return None
    distributions = {name: _distribution(knob) for name, knob in space.items()}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for config, value in zip(trials.configs, trials.values, strict=True):
        study.add_trial(
            optuna.create_trial(params=dict(config), distributions=distributions, value=value)
        )
    shares = get_param_importances(study, evaluator=evaluator, params=list(space))
    return {name: float(share) for name, share in shares.items()}


def _distribution(knob: Range) -> BaseDistribution:
    if "choices" in knob:
        return CategoricalDistribution(knob["choices"])
    log = knob.get("log", False)
    if knob.get("int"):
        return IntDistribution(int(knob["low"]), int(knob["high"]), log=log)
    return FloatDistribution(knob["low"], knob["high"], log=log)


def knob_gains(val: ArrayLike, test: ArrayLike) -> Floats:
    """Gain from tuning one hyperparameter, per repeat, free of the luck of the choice, [R].

    `val`, `test` [V, R]: scores of V values of the hyperparameter in R repeats, the default first.
    For each repeat the value is chosen by the mean val of the *other* repeats, then its test minus
    the default's is taken (Probst et al. 2019, by leave-one-out). One repeat leaves nothing to
    choose by: empty. The gains share their choices, so their spread gives no valid interval
    (Bengio & Grandvalet 2004; 87-91 % coverage of a t interval, simulated).
    """
    v, t = np.asarray(val, dtype=float), np.asarray(test, dtype=float)
    repeats = v.shape[1]
    if repeats < 2:
        return np.empty(0)
    chosen = [np.delete(v, r, axis=1).mean(axis=1).argmax() for r in range(repeats)]
    with np.errstate(invalid="ignore"):  # -inf - -inf: both diverged, which is no gain to speak of
        return t[chosen, np.arange(repeats)] - t[0]


def transfer_regret(val: ArrayLike, test: ArrayLike) -> Floats:
    """Loss from applying to scenario j the configuration selected on scenario i, [C, C, R].

    `val`, `test` [C, R, K]: scores of the *same* K configurations in C scenarios and R repeats,
    `test` retrained. regret[i, j, r] = test of j's own selection - test, on j, of i's selection;
    the diagonal is 0. Ties on val are averaged.
    """
    v, t = np.asarray(val, dtype=float), np.asarray(test, dtype=float)
    best = v == v.max(axis=-1, keepdims=True)
    chosen = best / best.sum(axis=-1, keepdims=True)
    score = np.einsum("irk,jrk->ijr", chosen, t)
    own = np.einsum("jjr->jr", score)
    return own[None] - score
