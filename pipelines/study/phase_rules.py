"""Which ways to meta-learn a phase may have, and how many steps it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pydantic import ValidationError

from methods.objective import Objective
from pipelines.errors import UserError
from pipelines.study.method_loading import bound_method, build_method, is_fitted, method_class
from pipelines.study.phases import IMPLICIT, Meta, Phase
from pipelines.study.protocol import Protocol, Schedule
from pipelines.study.validation import describe

FEW = 8  # numbers that forward accumulation carries a copy of the model for


def phase_schedule(phase: Phase, protocol: Protocol) -> Schedule:
    """The protocol's schedule, with what the phase changes of it.

    Raises:
        UserError: it changes something to what is not allowed.
    """
    try:
        return Schedule.model_validate(protocol.schedule.model_dump() | phase.schedule)
    except ValidationError as error:
        raise UserError(describe(error, Schedule, "schedule")) from None


class Length(NamedTuple):
    """Steps of a phase, and of an epoch of it; the last one may be cut short."""

    steps: int
    per_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs, with the one that is cut short."""
        return math.ceil(self.steps / self.per_epoch)

    def until(self, epoch: int) -> int:
        """Steps at the end of an epoch."""
        return min((epoch + 1) * self.per_epoch, self.steps)

    def within(self, epoch: int) -> int:
        """Steps of an epoch: only of the last one they may be fewer."""
        rest = self.steps % self.per_epoch
        return rest if rest and epoch == self.epochs - 1 else self.per_epoch


def phase_epochs(phase: Phase, protocol: Protocol) -> int:
    """Epochs of a phase, one at least and of a fit, where the schedule's length is in epochs."""
    if is_fitted(phase.method):
        return 1
    return max(1, round(phase.epochs * protocol.schedule.epochs))


def uses_clean(phase: Phase) -> bool:
    """Whether training uses clean labels of the meta split: trains on them, or learns from them."""
    method = bound_method(phase.method, phase.hyperparameters)
    learns = method.meta_learns and phase.meta.source == "meta"
    return "meta" in phase.pool or method.reads_clean or learns


def reads_truth(phase: Phase) -> bool:
    """Whether a phase's method is an oracle: it reads the true labels of training examples."""
    return build_method(phase.method, phase.hyperparameters).oracle


def check_under(phase: Phase, protocol: Protocol) -> None:
    """Are a phase's method, and its way to meta-learn, right under that protocol?

    Raises:
        UserError: one is not.
    """
    if method_class(phase.method).needs_threat and protocol.attack is None:
        raise UserError(f"{phase.method} trains against the protocol's attack, and it has none")
    if is_fitted(phase.method) and protocol.attack:
        raise UserError(f"{phase.method} is no network, and the protocol's attack needs one")
    if "val" in phase.pool and not protocol.splits.val:
        raise UserError(f"pool = {phase.pool!r}: splits.val = 0 has no examples to train on")
    meta = phase.meta
    if meta.engine.endswith("_difference") and protocol.precision != "float32":
        raise UserError(
            f"meta.engine = {meta.engine!r} needs precision float32, not {protocol.precision}: "
            "a difference of rounded outputs is rounding (with bfloat16 60-110 % off)"
        )
    schedule = phase_schedule(phase, protocol)
    clip = schedule.clip
    real = meta.step == "own" or meta.lookahead == "alternating"
    if real and schedule.decay == "hypergradient":
        raise UserError(
            "schedule.decay = 'hypergradient': how long a step is depends on the gradient, and so "
            "on what is learned; use lookahead: rollback with step: plain"
        )
    carried = meta.horizon > 1 or meta.engine == "forward_accumulation"
    if carried and meta.step == "own" and ":" in schedule.optimizer:
        how = f"engine = {meta.engine!r}" if meta.horizon == 1 else f"horizon = {meta.horizon}"
        raise UserError(
            f"meta.{how}: steps of {schedule.optimizer} cannot be carried further; "
            "use step: plain, or optimizer sgd or adamw"
        )
    if meta.lookahead_rate == "momentum" and schedule.optimizer != "sgd":
        raise UserError(
            f"meta.lookahead_rate = 'momentum': optimizer {schedule.optimizer} has no momentum of "
            "sgd; give a number, or step: own"
        )
    if meta.step == "own" and clip is not None and meta.last_layers:
        raise UserError(
            f"meta.step = 'own' with clip = {clip} needs all layers: the norm that is clipped is "
            "theirs; use no last_layers, or step: plain"
        )


def selects(phases: Sequence[Phase], protocol: Protocol) -> bool:
    """Whether val is there to select by; else there is none, or it has been trained on."""
    return protocol.splits.val > 0 and all("val" not in phase.pool for phase in phases)


def check_sequence(phases: list[Phase]) -> None:
    """Can each phase go on with the networks of the one before?

    Raises:
        UserError: one cannot.
    """
    for phase in phases:
        if is_fitted(phase.method) and len(phases) > 1:
            raise UserError(
                f"phase {phase.name!r}: {phase.method} is no network, it can only be the one phase"
            )
    for before, phase in pairwise(phases):
        needed, there = (method_class(p.method).networks for p in (phase, before))
        if phase.start == "continue" and needed != there:
            raise UserError(
                f"phase {phase.name!r}: start = 'continue': {phase.method} trains {needed} "
                f"network(s), phase {before.name!r} leaves {there}; use start: fresh, or initial"
            )


def check_phase(phase: Phase) -> None:
    """Do a phase's method, its hyperparameters and its way to meta-learn go together?

    Raises:
        UserError: they do not.
    """
    method = bound_method(phase.method, phase.hyperparameters)
    if "unlabelled" in phase.pool and not method.uses_unlabelled:
        raise UserError(f"pool = {phase.pool!r}: {phase.method} needs a label of every example")
    if is_fitted(phase.method):
        _check_fitted(phase)
    plain = {"every": 1, "lookahead": "rollback", "lookahead_rate": 1, "horizon": 1}
    for field, only in plain.items():
        value = getattr(phase.meta, field)
        if method.fresh_each_step and value != only:
            raise UserError(
                f"meta.{field} = {value!r}: {phase.method} has fresh weights at every step, "
                f"it allows {only!r} only"
            )
    if phase.meta.lookahead == "alternating" and list(method.train_parameters()):
        raise UserError(
            f"meta.lookahead = 'alternating': {phase.method} trains parameters of its own, which "
            "have moved when the meta step comes; use rollback"
        )
    _check_meta(phase.meta, method.fresh_each_step)
    check_few(phase.meta, method)


def _check_fitted(phase: Phase) -> None:
    """What says something of steps says nothing where there are none."""
    only = Phase.model_validate({"method": phase.method})
    for field in ("epochs", "start", "epoch_size", "ema", "schedule", "meta"):
        if getattr(phase, field) != getattr(only, field):
            raise UserError(f"{field}: {phase.method} is no network, and takes no steps")


def _check_meta(meta: Meta, fresh_each_step: bool) -> None:
    """Ways to meta-learn that exclude each other."""
    own = meta.engine in ("double_backward", "forward_accumulation")
    if own and (meta.lookahead == "alternating" or meta.graph == "retain"):
        raise UserError(
            f"meta.engine = {meta.engine!r} takes its own look-ahead; "
            "use lookahead: rollback, graph: recompute"
        )
    if meta.engine in IMPLICIT:
        _check_implicit(meta, fresh_each_step)
    if meta.lookahead == "alternating" and (meta.graph == "retain" or meta.last_layers):
        raise UserError(
            "meta.lookahead = 'alternating' takes the look-ahead in the real step, with one graph "
            "and all layers; use graph: recompute, and no last_layers"
        )
    if meta.horizon > 1 and (meta.lookahead == "alternating" or meta.graph == "retain"):
        raise UserError(
            f"meta.horizon = {meta.horizon} takes steps that are undone, each with a graph of its "
            "own; use lookahead: rollback, graph: recompute"
        )
    if fresh_each_step and meta.graph == "retain" and meta.engine != "one_sided_difference":
        raise UserError(
            "meta.graph = 'retain': without a look-ahead only one_sided_difference gains by it"
        )


def _check_implicit(meta: Meta, fresh_each_step: bool) -> None:
    """What says something of a look-ahead says nothing where there is none."""
    if fresh_each_step:
        raise UserError(
            f"meta.engine = {meta.engine!r}: a method with fresh weights at every step has no "
            "training loss whose minimum moves with them; use engine: forward"
        )
    only = {"lookahead": "rollback", "graph": "recompute", "step": "plain", "horizon": 1}
    if meta.engine != "neumann":  # its series goes at that rate
        only["lookahead_rate"] = 1
    for field, default in only.items():
        value = getattr(meta, field)
        if value != default:
            raise UserError(
                f"meta.{field} = {value!r}: engine {meta.engine} takes no look-ahead, it allows "
                f"{default!r} only"
            )


def check_few(meta: Meta, method: Objective) -> None:
    """Does a method learn few enough numbers for its engine?

    Raises:
        UserError: it does not.
    """
    if meta.engine != "forward_accumulation":
        return
    if method.fresh_each_step:
        raise UserError(
            "meta.engine = 'forward_accumulation' carries a copy of the model for each number that "
            f"learns: {type(method).__name__} has one for each example; use engine: forward"
        )
    count = sum(p.numel() for p in method.meta_parameters())
    if count > FEW:
        raise UserError(
            "meta.engine = 'forward_accumulation' carries a copy of the model for each number that "
            f"learns: {FEW} at most, {type(method).__name__} has {count}; use engine: forward, "
            "which goes back over stored steps"
        )


def pool_size(phase: Phase, sizes: Mapping[str, int]) -> int:
    """Examples of a phase's pool; sizes: of the splits. Each repetition of meta counts."""
    repeats = {"meta": phase.meta_repeat}
    return sum(sizes[part] * repeats.get(part, 1) for part in phase.pool.split("+"))


def epoch_size(phase: Phase, sizes: Mapping[str, int]) -> int:
    """Examples of an epoch of a phase; sizes: of the splits.

    Pools that hold the training split have its epoch, however often meta is repeated: all arms that
    learn from noisy labels take the same number of steps. Others have it if they ask for it.
    """
    as_train = "train" in phase.pool or phase.epoch_size == "train"
    return sizes["train"] if as_train else pool_size(phase, sizes)


def phase_length(phase: Phase, protocol: Protocol, sizes: Mapping[str, int]) -> Length:
    """How long a phase is, one step at least, as of a fit; sizes: of the splits."""
    if is_fitted(phase.method):
        return Length(1, 1)
    size, schedule = epoch_size(phase, sizes), phase_schedule(phase, protocol)
    per_epoch = math.ceil(size / schedule.batch_size)
    if schedule.steps is None:
        return Length(phase_epochs(phase, protocol) * per_epoch, per_epoch)
    return Length(max(1, round(phase.epochs * schedule.steps)), per_epoch)


def total_steps(phases: Sequence[Phase], protocol: Protocol, sizes: Mapping[str, int]) -> int:
    """Training steps of a whole trial, 0 of a fit; sizes: of the splits."""
    trained = [phase for phase in phases if not is_fitted(phase.method)]
    return sum(phase_length(phase, protocol, sizes).steps for phase in trained)
