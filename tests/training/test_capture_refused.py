"""What a recording would freeze is found, and runs the plain way or is recorded anew."""

from itertools import cycle

import numpy as np
import pytest
import torch

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import generator, seed_of
from tests.conftest import in_phase
from tests.training.conftest import PLAIN, run, spec_of


class ReadsTheKey(CrossEntropy):
    def forward(self, outputs, batch):
        noise = torch.rand(len(batch.y), generator=generator(*batch.key, "mine"))
        return super().forward(outputs, batch) * noise


class Waits(CrossEntropy):
    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * (1 + batch.progress.item())


class Counts(CrossEntropy):
    steps = 0

    def forward(self, outputs, batch):
        self.steps += 1
        return super().forward(outputs, batch) * self.steps


class Hides(CrossEntropy):
    """Memory that is no buffer."""

    def after_step(self, outputs, losses, batch):
        self.mean = 0.9 * getattr(self, "mean", 0) + losses.mean()


class Collects(CrossEntropy):
    def __init__(self):
        super().__init__()
        self.sizes = set()

    def after_step(self, outputs, losses, batch):
        self.sizes.add(len(self.sizes))


class HidesInPlace(CrossEntropy):
    def bind(self, facts):
        self._seen = torch.zeros(facts.classes)

    def after_step(self, outputs, losses, batch):
        self._seen += outputs.logits.mean(0)


class Appends(CrossEntropy):
    def __init__(self):
        super().__init__()
        self.losses = []

    def after_step(self, outputs, losses, batch):
        self.losses.append(losses.mean())


class AddsToTheKey(CrossEntropy):
    def forward(self, outputs, batch):
        often = seed_of(*(batch.key + ("mine",))) % 5 == 0  # noqa: RUF005  # it is what is tested
        return super().forward(outputs, batch) * (3 if often else 1)


class PutsTheKeyBehind(CrossEntropy):
    def forward(self, outputs, batch):
        often = seed_of(*(("mine",) + batch.key)) % 5 == 0  # noqa: RUF005  # it is what is tested
        return super().forward(outputs, batch) * (3 if often else 1)


class DrawsByItself(CrossEntropy):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * self.rng.random()


class Iterates(CrossEntropy):
    def __init__(self):
        super().__init__()
        self.scales = cycle([1, 2, 3])

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * next(self.scales)


class CountsByItsClass(CrossEntropy):
    steps = 0

    def forward(self, outputs, batch):
        CountsByItsClass.steps += 1
        return super().forward(outputs, batch) * (1 + CountsByItsClass.steps % 3)

    def bind(self, facts):
        CountsByItsClass.steps = 0


class MovesABuffer(CrossEntropy):
    def bind(self, facts):
        self.register_buffer("mean", torch.zeros(facts.classes))

    def after_step(self, outputs, losses, batch):
        self.mean = 0.9 * self.mean + outputs.logits.mean(0)


class MovesItBetweenEpochs(MovesABuffer):
    def after_step(self, outputs, losses, batch):
        self.mean += outputs.logits.mean(0)

    def begin_epoch(self, epoch, predict):
        self.mean = torch.zeros_like(self.mean)


class Masks(CrossEntropy):
    def forward(self, outputs, batch):
        losses = super().forward(outputs, batch)
        return losses + 0 * losses[losses > 0.1].sum()


REFUSED = [
    (ReadsTheKey, r"reads batch\.key"),
    (Waits, "_local_scalar_dense waits for the device"),
    (Masks, "index waits for the device"),
    (Counts, r"Counts\.steps changes at every step and is no buffer"),
    (Hides, r"Hides\.mean changes at every step and is no buffer"),
    (Collects, r"Collects\.sizes changes at every step and is no buffer"),
    (HidesInPlace, r"HidesInPlace\._seen changes at every step and is no buffer"),
    (Appends, r"Appends\.losses\.0 changes at every step and is no buffer"),
    (AddsToTheKey, r"reads batch\.key"),
    (PutsTheKeyBehind, r"reads batch\.key"),
    (DrawsByItself, r"DrawsByItself\.rng may change unseen"),
    (Iterates, r"Iterates\.scales may change unseen"),
    (CountsByItsClass, r"class CountsByItsClass\.steps changes at every step and is no buffer"),
    (MovesABuffer, "state is not where it was"),
    (MovesItBetweenEpochs, "state is not where it was"),
]


@pytest.mark.parametrize(("method", "reason"), REFUSED)
def test_what_a_recording_would_freeze_runs_the_plain_way(method, reason, recorder):
    spec = spec_of("ce")
    spec = in_phase(spec, method=f"{__name__}:{method.__name__}")
    expected, _ = run(spec, fast=PLAIN)
    with pytest.warns(UserWarning, match=reason):
        found, training = run(spec)
    assert training.captured_steps.fallback_reason and found == expected


class ByTheEpoch(CrossEntropy):
    """A number that changes between epochs, and not when it is first recorded."""

    def begin_epoch(self, epoch, predict):
        self._epoch = epoch // 3

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * (1 + self._epoch)


class Curriculum:
    late = False


class ByAnObject(CrossEntropy):
    def __init__(self):
        super().__init__()
        self.curriculum = {"now": [Curriculum()]}

    def begin_epoch(self, epoch, predict):
        self.curriculum["now"][0].late = epoch > 2

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * (2 if self.curriculum["now"][0].late else 1)


class ByATensor(CrossEntropy):
    """One that is no buffer, and another one in each third epoch; too long to be written out."""

    def begin_epoch(self, epoch, predict):
        if epoch % 3 == 0:
            self._scale = [torch.linspace(1, 1 + epoch, 2000)]

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * self._scale[0][batch.index]


BETWEEN = [ByTheEpoch, ByAnObject, ByATensor]


@pytest.mark.parametrize("method", BETWEEN)
def test_what_changes_between_epochs_is_recorded_anew(method, recorder):
    spec = spec_of("ce")
    spec = in_phase(spec, method=f"{__name__}:{method.__name__}")
    found, training = run(spec)
    assert found == run(spec, fast=PLAIN)[0] and training.captured_steps.replayed > 5


class ReadsTheKeyLater(CrossEntropy):
    def begin_epoch(self, epoch, predict):
        self.late = epoch > 2

    def forward(self, outputs, batch):
        scale = 1 + seed_of(*batch.key) % 7 / 1000 if self.late else 1
        return super().forward(outputs, batch) * scale


def test_what_is_recorded_anew_is_watched_anew(recorder):
    spec = spec_of("ce")
    spec = in_phase(spec, method=f"{__name__}:ReadsTheKeyLater")
    with pytest.warns(UserWarning, match=r"reads batch\.key"):
        found, _ = run(spec)
    assert found == run(spec, fast=PLAIN)[0]
