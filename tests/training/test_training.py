"""The trial: exact resume for every arm, fairness by construction, what its record holds."""

import json
import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.study.phase_rules import total_steps
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import parse_study
from pipelines.training.batches import Batches
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import DIGITS, in_phase, small_study, training_spec, under
from tests.support.arms import TRAINED, every_arm
from tests.support.trials import comparable, run_to_end, through_a_file


@pytest.fixture(scope="module")
def study():
    return small_study(TRAINED)


@every_arm()
def test_a_trial_that_is_interrupted_anywhere_ends_bit_identically(arm, study):
    spec = training_spec(arm, study)
    rows, result = run_to_end(spec)
    total = sum(1 for _ in run_trial(spec))
    for steps in {1, total // 2, total - 2}:
        interrupted = list(islice(run_trial(spec), steps))
        seen = [e.row for e in interrupted if e.row]
        state = through_a_file(interrupted[-1].snapshot())
        torch.rand(3)  # whatever else the process does with the global generator
        more, again = run_to_end(spec, state)
        assert seen + more == rows
        assert json.dumps(comparable(again)) == json.dumps(comparable(result))


def test_another_run_seed_gives_another_result(study):
    """The negative control of the test above."""
    spec = training_spec("ce", study)
    assert run_to_end(spec)[0] != run_to_end(replace(spec, run_seed=3))[0]
    assert run_to_end(spec)[0] != run_to_end(replace(spec, data_seed=3))[0]


def test_a_snapshot_is_not_changed_by_later_steps(study):
    events = run_trial(training_spec("mw_net", study))
    state = next(events).snapshot()
    before = {name: tensor.clone() for name, tensor in state["model"].items()}
    list(events)
    assert all(torch.equal(before[name], tensor) for name, tensor in state["model"].items())
    assert state["steps"] == 1 and state["history"] == []


def batches_seen(arm, study, monkeypatch):
    seen = []
    original = Batches.training

    def record(self, *args):
        batch = original(self, *args)
        seen.append((batch.index.tolist(), batch.x.sum().item()))
        return batch

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "training", record)
        list(run_trial(training_spec(arm, study)))
    return seen


def test_all_arms_see_the_same_batches_and_start_from_the_same_weights(study, monkeypatch):
    seen = {arm: batches_seen(arm, study, monkeypatch) for arm in ("ce", "gce", "l2rw", "mw_net")}
    assert all(batches == seen["ce"] for batches in seen.values())
    starts = [
        TrainingRun(training_spec(arm, study), torch.device("cpu")) for arm in ("ce", "mw_net")
    ]
    for a, b in zip(starts[0].model.parameters(), starts[1].model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_pools_with_the_training_split_take_the_same_number_of_steps(study):
    """However often the clean examples are repeated: their share grows, the cost does not."""
    lengths = {
        repeat: sum(1 for _ in run_trial(training_spec("ce_plus_meta", study, meta_repeat=repeat)))
        for repeat in (1, 30)
    }
    assert set(lengths.values()) == {sum(1 for _ in run_trial(training_spec("ce", study)))}


def test_a_phase_without_the_training_split_takes_as_many_steps_as_others_if_it_asks_for_it(study):
    steps = {arm: _steps(arm, study) for arm in ("ce", "clean_only", "clean_only_long")}
    assert steps["clean_only"] == 3 and steps["clean_only_long"] == steps["ce"] == 9
    assert _steps("finetune_long", study) == 9 + 2 * 3


def _steps(arm: str, study) -> int:
    spec = training_spec(arm, study)
    sizes = prepare(spec.protocol, spec.data_seed).sizes
    taken = sum(1 for _ in run_trial(spec)) - 1  # the last one carries the result
    assert taken == total_steps(spec.phases, spec.protocol, sizes)
    return taken


def test_a_long_epoch_on_few_examples_shows_each_of_them_equally_often(study):
    run_ = TrainingRun(training_spec("clean_only_long", study), torch.device("cpu"))
    pool, size = len(run_.training.pool), run_.training.epoch_size
    seen = torch.cat([inputs.rows for inputs in run_.training.epoch_inputs(0)])
    counts = seen.bincount(minlength=pool)
    assert len(seen) == size and int(counts.max() - counts.min()) <= 1
    assert torch.equal(seen[:pool].sort().values, torch.arange(pool))


def test_the_record_reports_both_epoch_rules_and_keeps_test_apart(study):
    rows, result = run_to_end(training_spec("gce", study))
    assert not any("test" in name or "held_out" in name for row in rows for name in row)
    val = [row["val/accuracy"] for row in rows]
    assert result["val"] == {"last": val[-1], "selected": max(val)}
    assert result["selected_epoch"] == 1 + val.index(max(val))
    assert set(result["held_out"]["score"]) == {"last", "selected"}
    assert sum(map(sum, result["held_out"]["last"]["confusion"])) == 1400
    json.dumps(result, allow_nan=False)


def test_an_arm_that_trains_on_val_selects_nothing_by_it(study):
    rows, result = run_to_end(training_spec("clean_only_all", study))
    assert result["val"] is None and result["selected_epoch"] is None
    assert not any(name.startswith("val/") for row in rows for name in row)
    assert result["held_out"]["score"]["last"] == result["held_out"]["score"]["selected"]


def test_phases_follow_each_other_on_the_same_model(study):
    rows, _ = run_to_end(training_spec("finetune", study))
    assert [row["phase"] for row in rows] == ["noisy"] * 3 + ["finetune"] * 3
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    plain, _ = run_to_end(training_spec("ce", study))
    assert rows[2]["val/accuracy"] == plain[2]["val/accuracy"]
    assert all(row["lr"] == 0.01 for row in rows[3:])


def test_a_loss_that_is_not_finite_is_a_result(study):
    spec = training_spec("ce", study)
    spec = under(spec, {"schedule.lr": 1e30})
    rows, result = run_to_end(spec)
    assert result["status"] == "diverged"
    assert result["val"] == {"last": 0.0, "selected": 0.0}
    assert result["held_out"] == {"score": {"last": 0.0, "selected": 0.0}}
    assert rows[-1]["train/loss"] is None
    json.dumps(result, allow_nan=False)


def test_history_shows_who_gets_weight(study):
    rows, result = run_to_end(training_spec("gce", study))
    row = rows[-1]
    counts = [sum(row[f"weights/{group}"]) for group in ("clean", "corrupted")]
    trained = result["data"]["sizes"]["train"]
    assert sum(counts) == trained
    assert counts[1] / trained == pytest.approx(result["data"]["noise"]["measured"]["train"])
    assert row["weights/auroc"] == result["weights_auroc"]
    plain, _ = run_to_end(training_spec("ce", study))
    assert plain[-1]["weights/mean"] == pytest.approx(1.0, abs=1e-3)
    assert plain[-1]["weights/auroc"] == pytest.approx(0.5, abs=0.01)


def test_gradient_clipping_bounds_the_step():
    raw = DIGITS | {"schedule": {"epochs": 1, "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}}
    raw["schedule"]["clip"] = 1e-3
    study = parse_study({"name": "clip", "protocol": raw, "request": {"arms": ["ce"]}}, "clip")
    run_ = TrainingRun(training_spec("ce", study), torch.device("cpu"))
    before = [p.detach().clone() for p in run_.model.parameters()]
    next(run_.steps())
    moved = math.sqrt(
        sum(
            (p - b).square().sum().item()
            for p, b in zip(run_.model.parameters(), before, strict=True)
        )
    )
    assert moved == pytest.approx(1e-3, rel=0.01)


def test_a_model_is_checked_before_the_first_step_of_a_meta_learned_arm(study, monkeypatch):
    checked = []
    monkeypatch.setattr(MetaLearner, "check", lambda *_: checked.append(1))
    next(run_trial(training_spec("ce", study)))
    assert not checked
    next(run_trial(training_spec("l2rw", study)))
    assert checked


@pytest.mark.parametrize("arm", ["ce", "importance_weights"])  # which loads scikit-learn
def test_threads_of_the_protocol_are_set_in_all_libraries(arm: str):
    raw = DIGITS | {"threads": 2}
    study = parse_study({"name": "two", "protocol": raw, "request": {"arms": [arm]}}, "two")
    threadpool_limits(3)
    TrainingRun(training_spec(arm, study), torch.device("cpu"))
    assert torch.get_num_threads() == Protocol.model_validate(raw).threads == 2
    pools = threadpool_info()
    assert any(pool["user_api"] == "blas" for pool in pools)
    assert {pool["num_threads"] for pool in pools} == {2}


class Recurrent(torch.nn.Module):
    """In float32, PyTorch takes an operator without a forward-mode rule; in float64 others."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.read = torch.nn.LSTM(8, 4, batch_first=True)
        self.head = torch.nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.read(x.view(len(x), 8, 8))[0][:, -1])


def reads_in_bfloat16() -> bool:
    """Whether PyTorch has such an LSTM for this processor; without AVX-512 it has none."""
    try:
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            Recurrent((1, 8, 8), 2)(torch.zeros(1, 1, 8, 8))
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_self_check_looks_at_the_operators_of_the_trials_own_precision(study, precision):
    if precision == "bfloat16" and not reads_in_bfloat16():
        pytest.skip("PyTorch has no LSTM in bfloat16 for this processor")
    spec = training_spec("l2rw", study)
    spec = under(spec, {"model": {"name": f"{__name__}:Recurrent"}, "precision": precision})
    with pytest.raises(
        UserError, match=r"engine = 'forward' cannot .*mkldnn_rnn_layer.*meta\.engine"
    ):
        run_to_end(spec)
    spec = in_phase(spec, meta={"engine": "double_backward"})
    if precision == "float32":
        spec = in_phase(spec, meta={"engine": "finite_difference"})
        assert run_to_end(spec)
