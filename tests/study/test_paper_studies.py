"""The papers' protocols on CIFAR: what they say of themselves, and a step of each of their arms."""

import numpy as np
import pytest

from pipelines.data.known_classes import CIFAR10, CIFAR100
from pipelines.data.task import prepare
from pipelines.execution.preflight import check
from pipelines.study.phase_rules import phase_length
from pipelines.study.protocol import Data
from pipelines.study.study_file import STUDIES, load_study
from pipelines.training.passes import passes_of
from pipelines.training.schedule import learning_rate

NAMES = sorted(path.stem for path in (STUDIES / "papers").glob("*.yaml"))
CLASSES = {
    "cifar10": list(CIFAR10),
    "cifar100": sorted(name for names in CIFAR100.values() for name in names.split()),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_that_it_was_not_run_and_where_it_differs(name):
    study = load_study(name)
    assert study.about.endswith("; not run")
    text = (STUDIES / "papers" / f"{name}.yaml").read_text(encoding="utf-8")
    comment = text.partition("about:")[0].replace("\n# ", " ")
    assert "Not run:" in comment
    assert "Where this differs." in comment or "as `glc_cifar10`" in comment
    assert not any(study.arm(name).tuned for name in study.request.arms), "a paper's values"


@pytest.mark.parametrize(
    ("name", "train", "steps", "falls"),
    [
        ("l2rw_uniform_flip", 44_000, 60_000, {40_000: 0.01, 50_000: 0.001}),
        ("l2rw_background_flip", 44_900, 80_000, {40_000: 0.01, 60_000: 0.001}),
        ("mw_net_uniform", 49_000, 20_000, {18_000: 0.01, 19_000: 0.001}),
        ("mw_net_flip", 49_000, 30_000, {20_000: 0.01, 25_000: 0.001}),
        ("mw_net_long_tail", 12_380, 100 * 124, {80 * 124: 0.01, 90 * 124: 0.001}),
        ("gce_cifar10", 49_990, 120 * 391, {40 * 391: 1e-3, 80 * 391: 1e-4}),
        ("sce_cifar10", 49_990, 120 * 391, {40 * 391: 1e-3, 80 * 391: 1e-4}),
        ("elr_cifar10", 44_990, 120 * 352, {40 * 352: 2e-4, 80 * 352: 2e-6}),
    ],
)
def test_its_rate_falls_at_the_steps_of_the_paper(name, train, steps, falls):
    protocol = load_study(name).protocol
    [phase] = load_study(name).arm("ce").resolve({})
    length = phase_length(phase, protocol, {"train": train})
    assert length.steps == steps
    before = protocol.schedule.lr
    for step, rate in falls.items():
        around = [learning_rate(protocol.schedule, step + n, *length) for n in (-1, 0)]
        assert around == pytest.approx([before, rate])
        before = rate


def test_co_teaching_reaches_its_rate_after_ten_epochs_and_falls_from_epoch_80_on():
    for name, rate in (("coteaching_pair", 0.45), ("coteaching_symmetric", 0.5)):
        study = load_study(name)
        first, second = study.arm("coteaching_published").resolve({})
        lengths = [phase_length(p, study.protocol, {"train": 49_990}) for p in (first, second)]
        assert [length.epochs for length in lengths] == [80, 120]
        assert first.hyperparameters == {"rate": rate, "ramp": 10 / 80}
        assert second.hyperparameters == {"rate": rate, "ramp": 0.0}
        assert study.protocol.noise.rate == rate


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Files of random images with CIFAR's shape and classes, few enough for a test."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    files = {}
    for source, classes in CLASSES.items():
        n = 6200
        x, y = rng.integers(256, size=(n, 3, 32, 32), dtype=np.uint8), np.arange(n) % len(classes)
        parts = {"x": x[100:], "y": y[100:], "x_test": x[:100], "y_test": y[:100]}
        files[source] = folder / f"{source}.npz"
        np.savez(files[source], classes=classes, **parts)
    return files


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_of_its_arms_takes_a_step_on_images_of_that_shape(name, images, tmp_path, monkeypatch):
    """And its splits can be made in every scenario: all that `plan` and `launch` look at first.

    Wide networks are narrow here, since theirs takes a minute of a CPU.
    """
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path))
    study = load_study(name, {"repeats": 1})
    data = Data(source="arrays", path=images[study.protocol.data.source])
    model = study.protocol.model
    if model.name == "wrn_28_10":
        model = model.model_copy(update={"options": model.options | {"width": 1}})
    protocol = study.protocol.model_copy(update={"data": data, "model": model})
    study = study.model_copy(update={"protocol": protocol})
    check(study)
    task = prepare(protocol, 0)
    assert all(passes_of(arm, {}, study, task) > 0 for arm in study.arms.values())
