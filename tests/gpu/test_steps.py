"""Steps on a GPU: what is recorded, in which precision, and how a trial goes on there."""

import pytest
import torch
import torch.nn.functional as F

from pipelines.study.phases import Meta
from pipelines.training.process_settings import set_precision
from pipelines.training.trial import TrainingRun
from tests.conftest import small_study, training_spec, under
from tests.hypergradient.one_step import relative_error
from tests.training.conftest import OPTIONS, PLAIN, run, spec_of


@pytest.mark.parametrize("precision", ["float32", "tfloat32", "bfloat16"])
@pytest.mark.parametrize(
    ("arm", "meta"),
    [("ce", {}), ("l2rw", {}), ("gce_learned", {}), *(("mw_net", m) for m in [{}, *OPTIONS])],
)
def test_a_cuda_graph_does_what_the_steps_do(arm, meta, precision, cuda):
    if precision != "float32" and "difference" in meta.get("engine", ""):
        pytest.skip("refused: finite differences are useless there")
    spec = spec_of(arm, **meta)
    spec = under(spec, {"clip": 5.0}, "schedule")
    spec = under(spec, {"model": {"name": "resnet32"}, "augment": "crop_flip"})
    spec = under(spec, {"precision": precision})
    (expected, *_), _ = run(spec, cuda, PLAIN)
    (found, *_), training = run(spec, cuda)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 0
    for row, plain in zip(found[:2], expected[:2], strict=True):  # later, rounding has grown
        close = 0.02 if precision == "float32" else 0.1
        assert row["train/loss"] == pytest.approx(plain["train/loss"], rel=close)


def products(precision, cuda):
    """A convolution and a matrix product in that precision, and how far they are off."""
    set_precision(precision)
    generator = torch.Generator(cuda).manual_seed(0)
    a = torch.randn(64, 64, 16, 16, device=cuda, generator=generator)
    b = torch.randn(64, 64, 3, 3, device=cuda, generator=generator)
    c, d = a.flatten(1).T.contiguous(), a.flatten(1)
    return [
        relative_error(F.conv2d(a, b).double(), F.conv2d(a.double(), b.double())),
        relative_error((d @ c).double(), d.double() @ c.double()),
    ]


def test_float32_is_no_rounded_product_on_a_gpu(cuda):
    assert max(products("float32", cuda)) < 3e-6
    assert min(products("tfloat32", cuda)) > 1e-5
    assert max(products("float32", cuda)) < 3e-6


@pytest.mark.parametrize("arm", ["ce", "mw_net", "finetune", "coteaching"])
def test_a_trial_goes_on_from_its_snapshot(arm, cuda):
    (expected, *_), _ = run(spec_of(arm), cuda)
    first = TrainingRun(spec_of(arm), cuda)
    state = [progress.snapshot for progress, _ in zip(first.steps(), range(11), strict=False)][-1]()
    second = TrainingRun(spec_of(arm), cuda)
    second.load_state_dict(state)
    list(second.steps())
    for row, uninterrupted in zip(second.history, expected, strict=True):
        assert row["train/loss"] == pytest.approx(uninterrupted["train/loss"], rel=1e-3)


@pytest.mark.parametrize("how", [{}, {"step": "own"}, {"horizon": 2}])
def test_forward_mode_is_double_backward_in_float64(how, cuda):
    from tests.training.test_every_hypergradient import Setting

    torch.set_default_device(cuda)
    try:
        found = Setting("nesterov", "two networks, features").gradient("forward", how)
        exact = Setting("nesterov", "two networks, features").gradient("double_backward", how)
    finally:
        torch.set_default_device(None)
    assert found.device.type == "cuda" and Meta(**how) and relative_error(found, exact) < 1e-10


def test_a_trial_tells_what_it_took(cuda):
    trial = TrainingRun(training_spec("mw_net", small_study(["mw_net"])), cuda)
    list(trial.steps())
    cost = trial.result()["cost"]
    assert cost["peak_memory"] > 0 and cost["steps_replayed"] > 0 and cost["not_replayed"] is None
