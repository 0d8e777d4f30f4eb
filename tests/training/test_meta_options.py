"""Every way to meta-learn, over whole trials: its passes, resume, and that engines agree."""

from itertools import islice
from typing import get_args

import pytest
import torch

from pipelines.data.task import prepare
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import IMPLICIT, Engine
from pipelines.training.passes import passes_of
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.arms import TRAINED, every_arm
from tests.support.trials import comparable, run_to_end, through_a_file


@pytest.fixture(scope="module")
def study():
    return small_study(TRAINED)


@every_arm()
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
    ("mw_net", {"horizon": 3}, 12 + 2 * 12),
    ("mw_net", {"horizon": 3, "engine": "double_backward"}, 12 + 17),
    ("gce_learned", {"engine": "forward_accumulation"}, 3 + 5 + 3),
    ("gce_learned", {"engine": "forward_accumulation", "horizon": 3}, 3 + 3 * 3 + 2 + 2 * 6 + 3),
    ("sce_learned", {"engine": "forward_accumulation", "horizon": 3}, 3 + 9 + 2 * (2 + 12) + 3),
    ("mw_net", {"engine": "t1_t2"}, 9),
    ("mw_net", {"engine": "neumann", "terms": 3}, 3 + 3 + 2 * 6 + 3 + 3),
    ("mw_net", {"engine": "conjugate_gradient", "terms": 3}, 3 + 3 + 3 * 6 + 3 + 3),
    ("mw_net", {"engine": "conjugate_gradient", "last_layers": 1}, 5),
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
        {"optimizer": "sgd", "momentum": 0.9, "decay": "schedule"},
        {"amsgrad": True, "lookahead_rate": "momentum", "decay": "schedule"},
        {"horizon": 3, "step": "own"},
        {"engine": "t1_t2"},
        {"engine": "conjugate_gradient", "terms": 2, "damping": 0.1},
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
@pytest.mark.parametrize("engine", get_args(Engine))
def test_every_way_to_meta_learn_moves_the_meta_parameters(study, engine, lookahead, every):
    spec = training_spec("gce_learned", study)
    own = ("double_backward", "forward_accumulation", *IMPLICIT)
    if engine in own and lookahead == "alternating":
        return
    spec = in_phase(spec, meta={"engine": engine, "lookahead": lookahead, "every": every})
    _, result = run_to_end(spec)
    assert result["status"] == "completed" and result["learned"]["learned/q"] != pytest.approx(0.7)


def test_engines_agree_over_a_whole_trial(study):
    """In float32 the exact engines stay together to rounding; finite differences to theirs."""
    q = {}
    for engine in ("forward", "double_backward", "finite_difference", "forward_accumulation"):
        spec = training_spec("gce_learned", study)
        spec = in_phase(spec, meta={"engine": engine, "optimizer": "sgd", "lr": 1.0})
        q[engine] = run_to_end(spec)[1]["learned"]["learned/q"]
    assert q["forward"] == pytest.approx(q["double_backward"], abs=1e-5)
    assert q["forward_accumulation"] == pytest.approx(q["double_backward"], abs=1e-5)
    assert q["finite_difference"] == pytest.approx(q["double_backward"], abs=1e-3)


def first_steps(study, arm="gce_learned", steps=1, schedule=None, **meta):
    spec = in_phase(training_spec(arm, study), meta=meta)
    training = TrainingRun(under(spec, schedule or {}, "schedule"), torch.device("cpu")).training
    for step, step_inputs in enumerate(training.epoch_inputs(0)[:steps]):
        training.step(step_inputs, 0, step)
    return training


@pytest.mark.parametrize(("factor", "times"), [(2.5, 2.5), ("momentum", 1 / (1 - 0.95))])
def test_a_longer_look_ahead_is_one_of_a_higher_rate(study, factor, times):
    """Plain SGD at k times the rate: the first step of a trial whose own rate is as high."""
    slow = first_steps(study, lookahead_rate=factor, schedule={"lr": 0.02, "momentum": 0.95})
    fast = first_steps(study, schedule={"lr": 0.02 * times})
    assert float(slow.sums["meta_norm"]) == pytest.approx(float(fast.sums["meta_norm"]), rel=1e-5)
    assert not torch.equal(slow.theta["1.bias"], fast.theta["1.bias"])


def test_the_meta_optimizer_is_what_the_papers_say(study):
    sgd = {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    found = first_steps(study, **sgd, lr=1e-2).meta.optimizer
    names = ("momentum", "nesterov", "weight_decay", "lr")
    assert [found.defaults[n] for n in names] == [0.9, True, 5e-4, 1e-2]
    found = first_steps(study, optimizer="adam", amsgrad=True).meta.optimizer
    assert isinstance(found, torch.optim.Adam) and found.defaults["amsgrad"]


def test_its_rate_falls_as_the_models_does_if_it_is_asked_to(study):
    rates = []
    for steps in (1, 3):
        training = first_steps(study, steps=steps, lr=0.01, decay="schedule")
        rate = training.optimizer.param_groups[0]["lr"] / training.schedule.lr
        found = training.meta.optimizer.param_groups[0]["lr"]
        assert float(found) == pytest.approx(0.01 * float(rate))
        rates.append(float(found))
    assert rates[0] == pytest.approx(0.01) and rates[1] < rates[0]


def test_a_look_ahead_of_several_steps_takes_the_batches_that_come_next(study):
    spec = in_phase(training_spec("gce_learned", study), meta={"horizon": 3})
    inputs = TrainingRun(spec, torch.device("cpu")).training.epoch_inputs(0)
    order = torch.cat([step.rows for step in inputs]).repeat(2)
    for number, step in enumerate(inputs):
        end = sum(len(before.rows) for before in inputs[: number + 1])
        assert step.later_rows.flatten().tolist() == order[end : end + 2 * len(step.rows)].tolist()


def test_its_meta_step_follows_the_reference(study):
    found = {
        engine: float(first_steps(study, engine=engine, horizon=3, step="own").sums["meta_norm"])
        for engine in ("forward", "forward_accumulation", "double_backward")
    }
    assert found["forward"] == pytest.approx(found["double_backward"], rel=1e-4)
    assert found["forward_accumulation"] == pytest.approx(found["double_backward"], rel=1e-4)
    once = float(first_steps(study, step="own").sums["meta_norm"])
    assert found["forward"] != pytest.approx(once, rel=1e-2)
