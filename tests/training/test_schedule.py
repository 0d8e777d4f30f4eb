"""Learning rates at hand-computed places."""

import pytest

from pipelines.study.protocol import Schedule
from pipelines.training.schedule import learning_rate


def rates(steps=8, per_epoch=2, **values):
    schedule = Schedule(lr=1.0, **values)
    return [learning_rate(schedule, step, steps, per_epoch) for step in range(steps)]


def test_constant():
    assert rates(decay="constant") == [1.0] * 8


def test_cosine_starts_at_lr_and_ends_near_zero():
    found = rates(decay="cosine")
    assert found[0] == 1.0 and found[4] == pytest.approx(0.5)
    assert found == sorted(found, reverse=True) and 0 < found[-1] < 0.05


def test_a_cosine_with_restarts_is_a_short_one_again_and_again():
    once = rates(steps=4)
    assert rates(steps=10, restart_epochs=2) == [*once, *once, *once[:2]]
    warm = rates(steps=9, warmup_epochs=0.5, restart_epochs=2)
    assert warm[1:] == [*once, *once] and warm[0] < 1


def test_only_a_cosine_begins_anew():
    with pytest.raises(ValueError, match="restart_epochs is an option of decay cosine, not of"):
        Schedule(decay="steps", restart_epochs=2)


def test_linear_falls_alike_at_every_step_to_zero():
    assert rates(decay="linear") == [1 - step / 8 for step in range(8)]


def test_steps_multiply_by_the_factor_at_each_milestone():
    found = rates(decay="steps", milestones=[0.5, 0.75], factor=0.1)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_warm_up_rises_linearly_over_its_epochs():
    found = rates(decay="constant", warmup_epochs=1.5)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
