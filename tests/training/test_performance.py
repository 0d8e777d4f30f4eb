"""What makes a step fast, checked without a clock.

What it does, how often, and that doing it the plain way gives the same.
"""

from collections import Counter
from dataclasses import fields

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.errors import UserError
from pipelines.training.augmentation import crop_flip_gather
from pipelines.training.capture_checks import Watch
from pipelines.training.fast_paths import FastPaths
from pipelines.training.trial import TrainingRun
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.arms import every_arm
from tests.training.test_cuda_graph import DRAW

CPU = torch.device("cpu")
NAMES = [field.name for field in fields(FastPaths)]


class Operators(TorchDispatchMode):
    """Counts the operators that run inside."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def second_step(arm, watch, epoch=1, **meta):
    """A step inside `watch`; the first makes the optimizers' state."""
    spec = training_spec(arm, small_study([arm]))
    spec = in_phase(spec, meta=meta)
    training = TrainingRun(spec, CPU).training
    draws = training.epoch_inputs(epoch)
    training.step(draws[0], epoch, 0)
    with watch:
        training.step(draws[-1], epoch, len(draws) - 1)
    return watch


def waiting(watch):
    return [reason for reason in watch.reasons if "waits" in reason]


@every_arm()
def test_no_step_waits_for_the_device(arm):
    assert not waiting(second_step(arm, Watch(CPU)))
    assert second_step(arm, Operators()).seen.total() > 20


@every_arm(but=DRAW)
def test_no_step_makes_a_tensor_of_a_python_value(arm):
    """By torch.tensor, which copies from the host's memory, so that it could not be recorded.

    A number put into a slice does so on a GPU alone: tests/gpu sees that.
    """
    assert not second_step(arm, Operators()).seen["lift_fresh"]


@pytest.mark.parametrize(
    "meta",
    [{"engine": "finite_difference"}, {"lookahead": "alternating"}, {"graph": "retain"}],
)
def test_no_way_to_meta_learn_waits_for_the_device(meta):
    assert not waiting(second_step("mw_net", Watch(CPU), **meta))


@pytest.mark.parametrize(
    "work",
    [
        lambda x: bool(x.sum() > 1),
        lambda x: x[x > 1],
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x + 1),
        lambda x: x.index_put_((x > 1,), torch.tensor(0.0)),
    ],
)
def test_what_waits_is_seen(work):
    """The negative control of the tests above."""
    with Watch(CPU) as watch:
        work(torch.arange(3.0))
    assert waiting(watch)


def test_copies_between_host_and_device_are_seen():
    """With memory that is not the host's; a copy from there cannot be made here."""
    there = torch.ones(3, device="meta")
    for work in (
        lambda: there + torch.tensor([1.0, 2.0, 3.0], device="meta"),
        lambda: there.copy_(torch.ones(3)),
        lambda: torch.ones(()).to("meta"),
    ):
        with Watch(torch.device("cuda")) as watch:
            work()
        assert "copies to or from the host's memory" in watch.reasons[0]
    with Watch(torch.device("cuda")) as watch:
        _ = (there + 1.0).where(there > 0, 2.0) * torch.tensor(1.0)
    assert watch.reasons == ["lift_fresh copies to or from the host's memory"]


def test_indexing_by_rows_does_not_wait():
    with Watch(CPU) as watch:
        _ = torch.arange(3.0)[torch.tensor([2, 0])]
    assert not watch.reasons


@pytest.mark.parametrize("arm", ["ce", "l2rw", "mw_net", "gce_learned"])
def test_a_step_costs_the_same_in_every_epoch(arm):
    seen = [second_step(arm, Operators(), epoch).seen for epoch in (1, 2)]
    assert seen[0] == seen[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_fast_path_can_be_left_out(name):
    """Of a convolutional network with crops and a meta-learned loss.

    The GPU's own: see test_cuda_graph.py.
    """
    spec = training_spec("mw_net", small_study(["mw_net"]))
    spec = under(spec, {"model": {"name": "cnn"}, "augment": "crop_flip"})
    fast, plain = TrainingRun(spec, CPU), TrainingRun(spec, CPU, FastPaths.without([name]))
    for trial in (fast, plain):
        list(trial.steps())
    for row, expected in zip(fast.history, plain.history, strict=True):
        assert row["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-3)
        assert row["meta/gradient_norm"] == pytest.approx(expected["meta/gradient_norm"], rel=1e-2)


@pytest.mark.parametrize("name", ["channels_last", "fused", "gather"])
def test_what_is_left_out_does_not_run(name):
    spec = training_spec("ce", small_study(["ce"]))
    spec = under(spec, {"model": {"name": "cnn"}, "augment": "crop_flip"})
    shown = {
        "channels_last": lambda trial: trial.training.network.channels_last,
        "fused": lambda trial: trial.training.optimizer.defaults["fused"],
        "gather": lambda trial: trial.training.batches.augmentation._crop_flip is crop_flip_gather,
    }[name]
    assert shown(TrainingRun(spec, CPU)) and not shown(
        TrainingRun(spec, CPU, FastPaths.without([name]))
    )


def test_an_unknown_fast_path_is_refused():
    with pytest.raises(UserError, match="--without 'fussed': must be among channels_last, cuda"):
        FastPaths.without(["fussed"])
