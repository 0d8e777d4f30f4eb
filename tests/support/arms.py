"""Which arms the fast tests try: a few that use, together, all that there is of the seam."""

from collections.abc import Iterable

import pytest

from methods.objective import Objective
from methods.scalar_loss import ScalarLoss
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.study.method_loading import bound_method, is_fitted
from pipelines.study.phases import Meta, Phase

SEAM = (Objective, ScalarLoss)


def parts_of_the_seam(phase: Phase) -> set[tuple]:
    """The hooks that a phase's method has of its own, and the options that change its loop."""
    method = bound_method(phase.method, phase.hyperparameters)
    own = [one for one in type(method).__mro__ if one not in SEAM and issubclass(one, Objective)]
    hooks = {name for one in own for name in vars(one) if hasattr(Objective, name)}
    drawn = {("hook", name) for name in hooks if not name.startswith("__")}
    meta = phase.meta if method.meta_learns else Meta()
    options = {
        "learns": method.meta_learns,
        "remembers": any(True for _ in method.buffers()),
        "source": meta.source,
        "clean loss": meta.loss,
        "pool": phase.pool,
        "start": phase.start,
        "epoch size": phase.epoch_size,
        "ema": phase.ema,
    }
    return drawn | set(options.items()) | {("schedule", name) for name in phase.schedule}


def _few_that_use_all(names: Iterable[str]) -> set[str]:
    """Arms of which each adds most to what those before it use."""
    uses = {}
    for name in names:
        phases = resolve_arm(name, {}).resolve({})
        uses[name] = set().union(*map(parts_of_the_seam, phases)) | {("phases", len(phases))}
    few: set[str] = set()
    missing = set().union(*uses.values())
    while missing:
        best = max(uses, key=lambda name: len(uses[name] & missing))
        few.add(best)
        missing -= uses[best]
    return few


#: Those whose model is no network: they take no steps.
FITTED = {n for n in known_arms() if is_fitted(resolve_arm(n, {}).phases[0].method)}
TRAINED = [name for name in known_arms() if name not in FITTED]
#: The fast tests' arms; the others are tested by `make test-all`.
FEW = _few_that_use_all(TRAINED)


def every_arm(but: Iterable[str] = ()):
    """Parametrize by `arm`: all that train a network, those that add nothing to the few as slow."""
    left = [name for name in TRAINED if name not in but]
    marks = {name: () if name in FEW else pytest.mark.slow for name in left}
    return pytest.mark.parametrize("arm", [pytest.param(n, marks=m) for n, m in marks.items()])
