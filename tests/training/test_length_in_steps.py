"""A schedule whose length is in steps: exactly so many, the last epoch cut short."""

import json
from itertools import islice

import pytest
import torch

from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.phase_rules import Length, phase_length
from pipelines.study.protocol import Schedule
from pipelines.study.study_file import parse_study
from pipelines.training.passes import passes_of
from pipelines.training.phase_start import phase_info
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import DIGITS, in_phase, small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file

EPOCH = 4  # steps of it: 297 training examples in batches of 80


def spec_of(arm, steps, **schedule):
    """Of so many steps; 60 epochs are what a schedule has that says nothing of them."""
    length = {"epochs": 60, "steps": steps, "batch_size": 80}
    return under(training_spec(arm, small_study([arm])), length | schedule, "schedule")


def test_the_last_epoch_of_a_length_is_cut_short():
    length = Length(10, EPOCH)
    assert length.epochs == 3
    assert [length.within(epoch) for epoch in range(3)] == [4, 4, 2]
    assert [length.until(epoch) for epoch in range(3)] == [4, 8, 10]
    whole = Length(8, EPOCH)
    assert whole.epochs == 2 and [whole.within(epoch) for epoch in range(3)] == [4, 4, 4]


@pytest.mark.parametrize("arm", ["ce", "mw_net"])
def test_whole_epochs_in_steps_are_those_epochs_to_the_last_bit(arm):
    rows, result = run_to_end(spec_of(arm, 2 * EPOCH))
    in_epochs = under(spec_of(arm, None), {"epochs": 2}, "schedule")
    again, other = run_to_end(in_epochs)
    assert rows == again and comparable(result) == comparable(other)


def test_it_takes_so_many_steps_and_its_learning_rate_falls_at_a_step():
    spec = spec_of("ce", 10, lr=1.0, decay="steps", milestones=[0.5, 0.9])
    rows, result = run_to_end(spec)
    assert sum(1 for _ in run_trial(spec)) - 1 == 10  # the last one carries the result
    assert [row["epoch"] for row in rows] == [1, 2, 3] and result["epochs"] == 3
    # at the end of steps 4, 8 and 10; it falls at steps 5 and 9
    assert [row["lr"] for row in rows] == pytest.approx([1.0, 0.1, 0.01])


def test_what_a_method_is_told_of_its_length_is_in_epochs():
    spec = spec_of("ce", 10)
    run = TrainingRun(spec, torch.device("cpu"))
    assert phase_info(run.objective, spec.phases[0], run.protocol, run.task, run.model).epochs == 3


@pytest.mark.parametrize("arm", ["ce", "mw_net", "coteaching", "cmw_net_pseudo"])
def test_its_passes_are_planned_as_they_are_taken(arm):
    spec = in_phase(spec_of(arm, 10), meta={"every": 1})
    raw = {"name": "s", "protocol": spec.protocol.model_dump(), "request": {"arms": [arm]}}
    study = parse_study(raw, "s")
    taken = run_to_end(spec)[1]["passes"]
    assert taken == passes_of(study.arm(arm), {}, study, prepare(spec.protocol, spec.data_seed))


def test_it_goes_on_from_the_midst_of_the_epoch_that_is_cut_short():
    spec = spec_of("mw_net", 10)
    rows, result = run_to_end(spec)
    for steps in (9, 10):
        *_, last = islice(run_trial(spec), steps)
        more, again = run_to_end(spec, through_a_file(last.snapshot()))
        assert more == (rows[2:] if steps == 9 else [])
        assert json.dumps(comparable(again)) == json.dumps(comparable(result))


def test_phases_share_the_steps_by_their_fractions():
    study = parse_study(
        {
            "name": "s",
            "protocol": DIGITS | {"schedule": {"steps": 30, "batch_size": 100}},
            "request": {"arms": ["finetune_long", "clean_only"]},
        },
        "s",
    )
    sizes = {"train": 300, "meta": 50}
    lengths = {
        arm: [phase_length(p, study.protocol, sizes) for p in study.arm(arm).resolve({})]
        for arm in study.arms
    }
    assert lengths["finetune_long"] == [Length(30, 3), Length(15, 3)]
    assert lengths["clean_only"] == [Length(30, 1)], "as many steps, each an epoch of its own"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 10, "epochs": 3}, "epochs = 3 and steps = 10: give one"),
    ],
)
def test_a_length_that_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**change)


def test_a_phase_has_no_steps_of_its_own():
    with pytest.raises(UserError, match=r"schedule\.steps belongs to the protocol"):
        training_spec("ce", **{"schedule.steps": 5})
