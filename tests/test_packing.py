"""Packing of trials on a GPU: arithmetic on made-up devices."""

import pytest
import torch

from pipelines.errors import UserError
from pipelines.packing import CONTEXT_BYTES, SPARE, USABLE, back_off, pack, probe

GIB = 2**30


def test_as_many_trials_as_memory_holds():
    packing = pack(peak=2 * GIB, total=24 * GIB, cores=64)
    assert packing.trials == int(24 * GIB * USABLE / (2 * GIB * SPARE + CONTEXT_BYTES)) == 7
    assert packing.trials * (packing.memory * 24 * GIB + CONTEXT_BYTES) <= 24 * GIB
    assert packing.memory * 24 * GIB >= 2 * GIB * SPARE


def test_no_more_trials_than_cores_feed():
    assert pack(peak=GIB // 4, total=80 * GIB, cores=4).trials == 4


@pytest.mark.parametrize("trials", range(1, 40))
def test_shares_that_ray_is_asked_for_fit_on_one_gpu(trials):
    packing = pack(peak=1, total=1000 * GIB, cores=trials)
    assert packing.trials == trials
    assert trials * packing.gpus <= 1 < (trials + 1) * packing.gpus


def test_a_trial_that_does_not_fit_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"needs 12\.\d GiB.*has 8\.0 GiB.*batch_size") as caught:
        pack(peak=10 * GIB, total=8 * GIB, cores=4)
    assert "\n" not in str(caught.value)


def test_running_out_of_memory_halves_the_packing_until_a_trial_has_the_gpu():
    found, packing = [], pack(peak=GIB, total=24 * GIB, cores=7)
    while packing:
        found.append(packing.trials)
        packing = back_off(packing, total=24 * GIB)
    assert found == [7, 3, 1]


def test_the_hungriest_trial_decides():
    sizes = {"ce": 3, "mw_net": 8, "l2rw": 5}
    specs = [{"arm": name} for name in sizes]
    assert probe(specs, torch.device("cpu"), lambda spec, _: sizes[spec["arm"]]) == 8
