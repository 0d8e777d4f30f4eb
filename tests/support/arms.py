"""Which arms stand for others: those that use the seam alike."""

from collections.abc import Iterable

import pytest

from methods.objective import Objective
from methods.scalar_loss import ScalarLoss
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.study.method_loading import bound_method
from pipelines.study.phases import Meta, Phase

SEAM = (Objective, ScalarLoss)


def use_of_the_seam(phase: Phase) -> tuple:
    """The hooks that a phase's method has of its own, and the options that change its loop."""
    method = bound_method(phase.method, phase.hyperparameters)
    own = [one for one in type(method).__mro__ if one not in SEAM and issubclass(one, Objective)]
    hooks = {name for one in own for name in vars(one) if hasattr(Objective, name)}
    drawn = {name for name in hooks if not name.startswith("__")}
    meta = phase.meta if method.meta_learns else Meta()
    memory = any(True for _ in method.buffers())
    loop = (phase.pool, phase.start, phase.epoch_size, phase.ema, tuple(phase.schedule))
    return (frozenset(drawn), method.meta_learns, memory, meta.source, meta.loss, loop)


def _by_use(names: Iterable[str]) -> dict[tuple, list[str]]:
    groups: dict[tuple, list[str]] = {}
    for name in names:
        use = tuple(use_of_the_seam(phase) for phase in resolve_arm(name, {}).resolve({}))
        groups.setdefault(use, []).append(name)
    return groups


#: The first of those alike; the others are tested by `make test-all`.
FIRST = {group[0] for group in _by_use(known_arms()).values()}


def every_arm(but: Iterable[str] = ()):
    """Parametrize by `arm`: all arms, those that others stand for as slow tests."""
    left = [name for name in known_arms() if name not in but]
    marks = {name: () if name in FIRST else pytest.mark.slow for name in left}
    return pytest.mark.parametrize("arm", [pytest.param(n, marks=m) for n, m in marks.items()])
