"""What makes a step fast, checked without a clock: what it does, and how often."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.arms import known_arms
from pipelines.training import Trial
from tests.conftest import small_study, trial_spec

#: These wait for the device: the host reads a value, or needs one to know a shape.
WAITING = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "_unique2", "masked_select"}


class Operators(TorchDispatchMode):
    """Counts the operators that run inside."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def operators(arm, epoch=1, **meta):
    spec = trial_spec(arm, small_study([arm]))
    spec["phases"][0]["meta"] |= meta
    training = Trial(spec, torch.device("cpu")).training
    draws = training.draws(epoch)
    for number, draw in enumerate(draws[:2]):  # the first step makes the optimizers' state
        with Operators() as found:
            training.step(draw, epoch, number)
    return found.seen


@pytest.mark.parametrize("arm", known_arms())
def test_no_step_waits_for_the_device(arm):
    seen = operators(arm)
    assert sum(seen.values()) > 20
    assert not WAITING & set(seen)


@pytest.mark.parametrize(
    "meta",
    [{"engine": "finite_difference"}, {"lookahead": "alternating"}, {"graph": "retain"}],
)
def test_no_way_to_meta_learn_waits_for_the_device(meta):
    assert not WAITING & set(operators("mw_net", **meta))


def test_reading_a_value_would_be_seen():
    """The negative control of the tests above."""
    with Operators() as found:
        assert torch.ones(2).sum() > 1
    assert WAITING & set(found.seen)


@pytest.mark.parametrize("arm", ["ce", "l2rw", "mw_net", "gce_learned"])
def test_a_step_costs_the_same_in_every_epoch(arm):
    assert operators(arm, epoch=1) == operators(arm, epoch=2)
