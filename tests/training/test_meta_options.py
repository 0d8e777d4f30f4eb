"""Every way to meta-learn, over whole trials: its passes, resume, and that engines agree."""

from itertools import islice

import pytest
import torch

from pipelines.data.task import prepare
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.training.passes import passes_of
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec
from tests.support.trials import comparable, run_to_end, through_a_file


@pytest.fixture(scope="module")
def study():
    return small_study(list(known_arms()))


@pytest.mark.parametrize("arm", known_arms())
def test_counted_passes_are_those_that_arithmetic_predicts(arm, study):
    spec = training_spec(arm, study)
    task = prepare(study.protocol, spec.data_seed)
    assert run_to_end(spec)[1]["passes"] == passes_of(resolve_arm(arm, {}), {}, study, task)


#: Steps of Meta-Weight-Net and L2RW, counted in passes: forward 1, backward 2, forward mode 3.
COUNTS = [
    ("mw_net", {}, 12),
    ("mw_net", {"graph": "retain"}, 11),
    ("mw_net", {"lookahead": "alternating"}, 9),
    ("mw_net", {"lookahead": "alternating", "engine": "one_sided_difference"}, 7),
    ("mw_net", {"last_layers": 1}, 6),
    ("l2rw", {}, 9),
    ("l2rw", {"engine": "one_sided_difference", "graph": "retain"}, 7),
    ("l2rw", {"last_layers": 1}, 5),
]


@pytest.mark.parametrize(("arm", "meta", "count"), COUNTS)
def test_counted_passes_of_each_way_to_meta_learn(arm, meta, count, study):
    spec = training_spec(arm, study)
    spec = in_phase(spec, meta=meta | {"batch_size": 50})
    training = TrainingRun(spec, torch.device("cpu")).training
    step_inputs = training.epoch_inputs(0)[0]
    _, passes = training.step(step_inputs, 0, 0)
    clean = 1 if "last_layers" in meta else 3
    assert passes == (count - clean) * len(step_inputs.rows) + clean * 50


def test_a_retained_graph_and_a_recomputed_one_give_the_same_trial(study):
    rows = {}
    for graph in ("retain", "recompute"):
        spec = training_spec("mw_net", study)
        spec = in_phase(spec, meta={"graph": graph})
        rows[graph], _ = run_to_end(spec)
    for kept, again in zip(rows["retain"], rows["recompute"], strict=True):
        assert kept["train/loss"] == pytest.approx(again["train/loss"], rel=1e-5)
        assert kept["meta/gradient_norm"] == pytest.approx(again["meta/gradient_norm"], rel=1e-3)


@pytest.mark.parametrize(
    "meta",
    [
        {"graph": "retain"},
        {"last_layers": 1},
        {"lookahead": "alternating", "engine": "one_sided_difference"},
    ],
)
def test_every_option_resumes_exactly(meta, study):
    spec = training_spec("mw_net", study)
    spec = in_phase(spec, meta=meta)
    rows, result = run_to_end(spec)
    interrupted = list(islice(run_trial(spec), 4))
    more, again = run_to_end(spec, through_a_file(interrupted[-1].snapshot()))
    assert [e.row for e in interrupted if e.row] + more == rows
    assert comparable(again) == comparable(result)


def test_passes_of_plain_l2rw_and_meta_weight_net():
    """Per example: plain 3; L2RW 9 with a meta batch of the same size; Meta-Weight-Net 12."""
    study = small_study(["ce", "l2rw", "mw_net"])
    n, epochs, steps = 297, 3, 3
    meta = epochs * steps * 50
    passes = [
        run_to_end(training_spec(arm, study))[1]["passes"] for arm in ("ce", "l2rw", "mw_net")
    ]
    plain = 3 * n * epochs
    assert passes == [plain, 2 * plain + 3 * meta, 3 * plain + 3 * meta]


@pytest.mark.parametrize(("lookahead", "every"), [("alternating", 1), ("rollback", 3)])
@pytest.mark.parametrize(
    "engine", ["forward", "finite_difference", "one_sided_difference", "double_backward"]
)
def test_every_way_to_meta_learn_moves_the_meta_parameters(study, engine, lookahead, every):
    spec = training_spec("gce_learned", study)
    if (engine, lookahead) == ("double_backward", "alternating"):
        return
    spec = in_phase(spec, meta={"engine": engine, "lookahead": lookahead, "every": every})
    _, result = run_to_end(spec)
    assert result["status"] == "completed" and result["learned"]["learned/q"] != pytest.approx(0.7)


def test_engines_agree_over_a_whole_trial(study):
    """In float32 the exact engines stay together to rounding; finite differences to theirs."""
    q = {}
    for engine in ("forward", "double_backward", "finite_difference"):
        spec = training_spec("gce_learned", study)
        spec = in_phase(spec, meta={"engine": engine, "optimizer": "sgd", "lr": 1.0})
        q[engine] = run_to_end(spec)[1]["learned"]["learned/q"]
    assert q["forward"] == pytest.approx(q["double_backward"], abs=1e-5)
    assert q["finite_difference"] == pytest.approx(q["double_backward"], abs=1e-3)
