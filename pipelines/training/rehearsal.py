"""A real training step of a trial before anything is launched, so that what cannot train is known.

A model that runs in eval mode need not train, nor need one that trains let itself be meta-learned
with. So each phase takes its own first step, the way its trial will: self-check, hooks, look-ahead,
meta step, evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from pipelines.data.task import SPLITS, Split, Task, prepare
from pipelines.errors import UserError
from pipelines.hypergradient.self_check import NoRule
from pipelines.models.network import Network, same_random_state
from pipelines.study.method_loading import build_method, is_fitted
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.fitting import FittingRun
from pipelines.training.phase_start import check_data
from pipelines.training.trial import TrainingRun

FEW = 2  # examples of a step: what BatchNorm needs
SOME = 100  # examples of a fit
HERE = torch.device("cpu")  # a GPU may be another machine's, and is the trials'


class CannotTrain(UserError):
    """A phase's step fails."""


def rehearse(spec: TrainingSpec, device: str = "cpu") -> None:
    """Take the first step of each of a trial's phases; nothing of it remains.

    device: of the trials. Where it is another than this one, a rule that an operator lacks here
    proves nothing.

    Raises:
        UserError: a phase cannot train; says why, in one line.
    """
    if device != HERE.type:
        protocol = spec.protocol.model_copy(update={"precision": "float32"})
        spec = replace(spec, protocol=protocol)
    with _untouched():
        try:
            _rehearse(spec)
        except NoRule:
            if device == HERE.type:
                raise


@contextmanager
def _untouched() -> Iterator[None]:
    threads = torch.get_num_threads()
    try:
        with same_random_state(HERE):
            yield
    finally:
        torch.set_num_threads(threads)


def _rehearse(spec: TrainingSpec) -> None:
    """A step of each phase on few examples, since one of a large model takes long.

    Only a step on as many as the trial takes proves that it cannot train: a method may need more.
    """
    task = prepare(spec.protocol, spec.data_seed)
    for phase in spec.phases:
        check_data(build_method(phase.method, phase.hyperparameters), phase, task)
    if is_fitted(spec.phases[0].method):
        _fit(spec, some(task, SOME))
        return
    try:
        _first_steps(spec, _few(task))
    except CannotTrain:
        _first_steps(spec, task)


def _first_steps(spec: TrainingSpec, task: Task) -> None:
    number = 0
    try:
        run = TrainingRun(spec, HERE, task=task)
        _check_outputs_differ(run)
        for number in range(len(spec.phases)):
            if number:
                run.next_phase()
            next(run.steps())
            if run.step:  # of more than one
                run.end_epoch(observed=True)
        run.result()
        run.state_dict()
    except UserError:
        raise
    except Exception as error:
        raise CannotTrain(
            f"{spec.phases[number].method} cannot train model {spec.protocol.model.name!r}: "
            f"{_class_and_words(error)}"
        ) from None


def _fit(spec: TrainingSpec, task: Task) -> None:
    run = FittingRun(spec, HERE, task)
    try:
        next(run.steps())
        run.result()
        run.state_dict()
    except UserError:
        raise
    except Exception as error:
        raise CannotTrain(
            f"{spec.phases[0].method} cannot be fitted: {_class_and_words(error)}"
        ) from None


def _class_and_words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _check_outputs_differ(run: TrainingRun) -> None:
    if _is_constant(run.training.network, run.task.normalise(run.task.train.x[:FEW])):
        raise UserError(
            f"model {run.protocol.model.name!r} gives every input the same outputs, and no step "
            "would change that: are all of its weights zero?"
        )


def _few(task: Task) -> Task:
    """The same task with the first few examples of each split."""
    return _at(task, lambda split: slice(FEW))


def some(task: Task, count: int) -> Task:
    """The same task with `count` examples of each split, or up to twice as many.

    They are from all over it, since it may be in order of classes.
    """
    return _at(task, lambda split: slice(None, None, max(1, len(split) // count)))


def _at(task: Task, rows: Callable[[Split], slice]) -> Task:
    splits = {
        name: Split(**{column: t[rows(split)] for column, t in vars(split).items()})
        for name in SPLITS
        for split in [getattr(task, name)]
    }
    return replace(task, **splits)


def _is_constant(network: Network, x: Tensor) -> bool:
    """Whether outputs are the same for all inputs, and remain so.

    They may come to differ, as behind a last layer that starts at zero; but not where each input
    pulls at every parameter alike.
    """
    network.model.eval()
    logits = network(x).logits
    network.model.train()
    same_inputs, same_outputs = (bool((t == t[:1]).all()) for t in (x, logits))
    if same_inputs or not same_outputs or not logits.requires_grad:
        return False
    theta = [*network.parameters().values()]
    weights = torch.arange(1.0, logits.shape[1] + 1)  # a softmax's row sums to a constant
    first, *others = (
        torch.autograd.grad((row * weights).sum(), theta, retain_graph=True, materialize_grads=True)
        for row in logits
    )
    return all(torch.equal(a, b) for pull in others for a, b in zip(first, pull, strict=True))
