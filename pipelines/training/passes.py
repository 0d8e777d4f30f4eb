"""Example passes, by arithmetic."""

from __future__ import annotations

from functools import partial

from methods.objective import Objective
from pipelines.data.task import Task
from pipelines.study.arms import Arm
from pipelines.study.attack import Attack
from pipelines.study.method_loading import bound_method, is_fitted
from pipelines.study.phase_rules import epoch_size, phase_length, selects
from pipelines.study.phases import Meta, Phase
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study
from pipelines.training.clean_examples import clean_available


def meta_passes(meta: Meta, method: Objective, batch: int, clean: int) -> int:
    """Example passes of a meta step on `batch` training and `clean` clean examples.

    A forward counts 1, a backward 2, a forward in forward mode 3; of a second derivative what its
    multiplications are, a mean of fully connected and convolutional networks. Where only the last
    layers take part in it, what comes before them is a plain forward, and they themselves are not
    counted.
    """
    whole = meta.last_layers is None
    if meta.engine in _DIFFERENTIATED_TWICE:
        training = _twice(meta, method) if whole else meta.horizon
    else:
        training = _once(meta, method.fresh_each_step, whole)
    return training * batch + (3 if whole else 1) * clean


_DIFFERENTIATED_TWICE = ("double_backward", "forward_accumulation", "neumann", "conjugate_gradient")
_CURVATURE = 6  # a backward pass through the graph of a backward pass


def _twice(meta: Meta, method: Objective) -> int:
    """Passes of the training batches by engines that differentiate the network twice."""
    later, graph = meta.horizon - 1, 3
    if meta.engine == "double_backward":
        return 6 + 17 * later // 2
    if meta.engine == "forward_accumulation":
        learned = sum(p.numel() for p in method.meta_parameters())
        return graph * meta.horizon + learned * (2 + _CURVATURE * later)
    products = meta.terms - 1 if meta.engine == "neumann" else meta.terms
    return graph + _CURVATURE * products + 3


def _once(meta: Meta, fresh_each_step: bool, whole: bool) -> int:
    """Passes of the training batches by engines that do not, but for later look-ahead steps."""
    backward, tangents = (2, 2) if whole else (0, 0)
    taken = fresh_each_step or meta.lookahead == "alternating" or meta.engine == "t1_t2"
    retained = meta.graph == "retain"
    look_ahead = 0 if taken else backward + (0 if retained else 1)
    known = retained or not fresh_each_step
    differences = {"finite_difference": 2, "one_sided_difference": 1 if known else 2}
    engine = differences.get(meta.engine, 1 + tangents)
    # Each later step: its look-ahead, and again with a graph that is differentiated.
    return look_ahead + engine + (meta.horizon - 1) * (6 + _CURVATURE if whole else 2)


def attack_passes(attack: Attack | None, networks: int, val: int) -> int:
    """Example passes of the protocol's attack on `val` examples, at the end of an epoch.

    Each step is a forward, and a backward that ends at the inputs and counts as much. What is no
    gradient is not counted, as in all of evaluation; nor is test, which decides nothing.
    """
    return 0 if attack is None else networks * attack.steps * 2 * val


def passes_of(arm: Arm, config: dict[str, Value], study: Study, task: Task) -> int:
    """Example passes of one trial: forward 1, backward 2, forward mode 3; a fit makes none."""
    protocol = study.protocol
    total, phases = 0, arm.resolve(config)
    if is_fitted(phases[0].method):
        return 0
    for phase in phases:
        method = bound_method(phase.method, phase.hyperparameters)
        of_an_epoch = partial(_epoch_passes, phase, method, task)
        size, length = epoch_size(phase, task.sizes), phase_length(phase, protocol, task.sizes)
        whole, rest = divmod(length.steps, length.per_epoch)
        # Batches differ by one example at most, and the larger ones come first.
        cut = rest * (size // length.per_epoch) + min(rest, size % length.per_epoch)
        examples = whole * of_an_epoch(size, length.per_epoch) + of_an_epoch(cut, rest)
        total += method.networks * examples
        if selects(phases, protocol):
            attacked = attack_passes(protocol.attack, method.networks, len(task.val))
            total += length.epochs * attacked
    return total


def nominal_ratio(phases: list[Phase], batch: int = 100) -> float:
    """Passes of a run over plain cross-entropy's, of phases with the training split.

    An epoch on clean examples alone is taken for nothing, and their share of a pool, too.
    """
    total = 0.0
    for phase in phases:
        on_clean = "train" not in phase.pool and phase.epoch_size == "pool"
        if on_clean or is_fitted(phase.method):
            continue
        method, meta = bound_method(phase.method, phase.hyperparameters), phase.meta
        extra = 0.0
        if method.meta_learns:
            clean = meta_passes(meta, method, batch, meta.batch_size)
            extra = clean / batch / meta.every + (meta.source == "pseudo_clean")
        total += phase.epochs * method.networks * (3 + method.extra_passes + extra) / 3
    return total


def _epoch_passes(phase: Phase, method: Objective, task: Task, size: int, steps: int) -> int:
    """Of one network and so many examples of an epoch, in so many steps; 0 where there are none."""
    if not steps:
        return 0
    plain = (3 + method.extra_passes) * size
    return plain + (_meta_passes(phase, method, task, size, steps) if method.meta_learns else 0)


def _meta_passes(phase: Phase, method: Objective, task: Task, size: int, steps: int) -> int:
    """Of an epoch: its meta steps, and the choice of its clean examples."""
    clean = min(phase.meta.batch_size, clean_available(phase.meta, task)) * steps
    chosen = len(task.train) if phase.meta.source == "pseudo_clean" else 0
    return meta_passes(phase.meta, method, size, clean) // phase.meta.every + chosen
