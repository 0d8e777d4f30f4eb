"""What a study may say of augmentation."""

import pytest

from pipelines.errors import UserError
from pipelines.study.augmentations import AUGMENTATIONS, augmentations_of
from pipelines.study.protocol import Protocol, with_changes
from tests.conftest import training_spec, under


@pytest.mark.parametrize(
    "augment",
    ["none", *AUGMENTATIONS, "mine:blur", "crop_flip+randaugment", "crop_flip_zeros+mine:f+cutmix"],
)
def test_names_may_follow_each_other(augment):
    assert Protocol(augment=augment).augment == augment


def test_they_are_applied_in_the_order_in_which_they_are_written():
    assert augmentations_of("crop_flip+mine:blur+mixup") == ["crop_flip", "mine:blur", "mixup"]
    assert augmentations_of("none") == []


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("flips", "Input should be 'none', 'crop_flip'"),
        ("none+mixup", "Input should be 'none', 'crop_flip'"),
        ("randaugment+crop_flip", "crop_flip and crop_flip_zeros are allowed in the first place"),
        ("crop_flip+crop_flip_zeros", "are allowed in the first place alone"),
        ("mixup+randaugment", "mixup and cutmix are allowed in the last place alone"),
        ("mixup+cutmix", "are allowed in the last place alone"),
        ("mine:f+mine:f", "the same one twice"),
    ],
)
def test_others_are_refused(augment, message):
    with pytest.raises(UserError, match=message):
        with_changes(Protocol(), {"augment": augment})


def test_modules_of_ones_own_are_among_those_of_a_trial():
    spec = under(training_spec("ce"), {"augment": "mine:blur+theirs:fog"})
    assert {"mine", "theirs"} <= set(spec.modules)
