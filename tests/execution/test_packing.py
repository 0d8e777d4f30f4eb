"""Packing of trials on a GPU: arithmetic on made-up devices."""

import pytest

from pipelines.errors import UserError
from pipelines.execution.packing import (
    CONTEXT_BYTES,
    SPARE,
    USABLE,
    Cost,
    described,
    grown,
    memory_fraction,
    pack,
    parse_gpus,
    spread,
)

GIB = 2**30


def cost(arm: str = "ce", peak: float = 1, busy: float | None = None, seconds: float = 0.01):
    """peak in GiB."""
    return Cost(arm, int(peak * GIB), seconds, busy)


def test_as_many_trials_as_memory_holds():
    packing = pack([cost(peak=2)], total=24 * GIB, cores=64)
    assert packing.trials == int(24 * GIB * USABLE / (2 * GIB * SPARE + CONTEXT_BYTES)) == 7
    limit = memory_fraction(packing.gpus, 24 * GIB) * 24 * GIB
    assert limit >= 2 * GIB * SPARE
    assert packing.trials * (limit + CONTEXT_BYTES) <= 24 * GIB


def test_the_hungriest_arm_decides_on_memory():
    alone = pack([cost("mw_net", 3)], total=24 * GIB, cores=64)
    costs = [cost("ce", 1), cost("mw_net", 3), cost("l2rw", 2)]
    assert pack(costs, total=24 * GIB, cores=64) == alone


def test_no_more_trials_than_cores_feed():
    assert pack([cost(peak=0.25)], total=80 * GIB, cores=4).trials == 4


@pytest.mark.parametrize(
    ("busy", "trials"), [([0.5], 2), ([0.3], 4), ([0.2, 0.4], 4), ([1.0], 1), ([1.2], 1)]
)
def test_no_more_trials_than_keep_the_gpu_busy(busy: list[float], trials: int):
    costs = [cost(busy=share) for share in busy]
    assert pack(costs, total=80 * GIB, cores=64).trials == trials


def test_an_unknown_speed_limits_nothing():
    packing = pack([cost(peak=0.25)], total=80 * GIB, cores=4)
    assert packing.speed is None and packing.trials == 4


def test_a_trial_takes_a_gpu_where_its_spare_memory_or_its_cores_are_not_there():
    assert pack([cost(peak=7.9)], total=8 * GIB, cores=0).gpus == 1.0


@pytest.mark.parametrize("trials", range(1, 40))
def test_shares_that_ray_is_asked_for_fit_on_one_gpu(trials: int):
    packing = pack([cost(peak=1e-9)], total=1000 * GIB, cores=trials)
    assert packing.trials == trials
    assert trials * packing.gpus <= 1 < (trials + 1) * packing.gpus


def test_an_arm_that_does_not_fit_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"arm 'mw_net' .*8\.0 GiB.*batch_size") as caught:
        pack([cost("ce", 1), cost("mw_net", 8)], total=8 * GIB, cores=4)
    assert "\n" not in str(caught.value)


def test_the_proposal_says_what_was_measured_and_the_option_that_fixes_it():
    costs = [cost("ce", 1, 0.3, 0.010), cost("mw_net", 2, 0.5, 0.030)]
    line = described(costs, 24 * GIB, pack(costs, 24 * GIB, cores=16))
    assert line == (
        "GPU: mw_net takes most memory, 2.00 of 24.0 GiB; a step takes 20.0 ms, 40% of it on the "
        "GPU. Trials per GPU: 3 (memory would do for 7, CPU cores for 16, speed for 3). "
        "The same by hand: --gpus-per-trial 0.3333"
    )
    unknown = [cost("ce", 1)]
    line = described(unknown, 24 * GIB, pack(unknown, 24 * GIB, cores=2))
    assert "an unknown part of it on the GPU" in line and "CPU cores for 2)" in line


@pytest.mark.parametrize(
    ("first", "then"), [(0.25, [0.5, 1.0]), (0.3333, [0.6666, 1.0]), (0.0, []), (1.0, []), (2, [])]
)
def test_a_share_grows_until_it_is_the_whole_gpu(first: float, then: list[float]):
    shares = [first]
    while grown(shares[-1]) != shares[-1]:
        shares.append(grown(shares[-1]))
    assert shares[1:] == then


def test_a_share_that_holds_nothing_but_cudas_own_memory_is_refused():
    with pytest.raises(UserError, match=r"--gpus-per-trial 0\.02: .*24\.0 GiB.*0\.6 GiB"):
        memory_fraction(0.02, 24 * GIB)


@pytest.mark.parametrize(
    ("text", "gpus"),
    [("auto", "auto"), ("0", 0), ("0.25", 0.25), ("1", 1), ("1e-4", 1e-4), ("2", 2), ("8", 8)],
)
def test_gpus_per_trial_are_a_number_or_auto(text: str, gpus):
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", ["-1", "1.5", "65", "nan", "inf", "some", "", "1e-5", "AUTO"])
def test_other_gpus_per_trial_are_refused(text: str):
    with pytest.raises(UserError, match=r"\A--gpus-per-trial '.*auto, 0, a fraction[^\n]*\Z"):
        parse_gpus(text)


@pytest.mark.parametrize(
    ("gpus", "trials", "whole", "share"),
    [
        (0.5, 4, 4, 1.0),  # Ray would put them on two
        (0.5, 5, 4, 0.5),
        (0.25, 5, 4, 0.5),
        (0.25, 9, 4, 0.3333),
        (0.25, 100, 4, 0.25),
        (0.25, 2, 1, 0.25),  # no other GPU could idle
        (0.25, 4, 0, 0.25),  # it is not known how many there are
        (0.4, 12, 4, 0.4),
        (0.0, 1, 4, 0.0),
        (1.0, 1, 4, 1.0),
        (2.0, 1, 4, 2.0),
    ],
)
def test_where_few_trials_are_left_each_takes_what_keeps_the_others_off_its_gpu(
    gpus: float, trials: int, whole: int, share: float
):
    assert spread(gpus, trials, whole) == share


def on_gpus(shares: list[float], count: int) -> list[int] | None:
    """Where Ray puts shares of GPUs, one after the other; None: one finds no room."""
    free, places = [1.0] * count, []
    for share in shares:
        room = [i for i, left in enumerate(free) if left >= share - 1e-9]
        if not room:
            return None
        places.append(min(room, key=lambda i: (free[i], i)))  # the fullest that will do
        free[places[-1]] -= share
    return places


@pytest.mark.parametrize("gpus", [0.1, 0.25, 0.3333, 0.4, 0.5, 0.75])
@pytest.mark.parametrize("whole", [1, 2, 3, 4, 7])
def test_each_finds_room_and_none_shares_while_another_gpu_is_idle(gpus: float, whole: int):
    """Of any number of trials up to those that fit: all start at once, as at a study's tail."""
    for trials in range(1, whole * int(1 / gpus) + 1):
        shares = [spread(gpus, trials, whole)] * trials
        places = on_gpus(shares, whole)
        assert places is not None
        most = max(places.count(i) for i in range(whole))
        assert most == max(1, -(-trials // whole)) or shares == [gpus] * trials
        assert whole > 1 or shares == [gpus] * trials
