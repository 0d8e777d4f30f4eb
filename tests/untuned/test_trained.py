"""A trial's model file gives back its network and its objective, with what both have learned."""

import io
from pathlib import Path

import pytest
import torch

import untuned
from methods.losses.cross_entropy import CrossEntropy
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.data.task import prepare
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import run_trial
from tests.conftest import in_phase, training_spec, under


class Remembers(untuned.Objective):
    """Counts how often each example of its pool was seen, in a buffer that `bind` makes."""

    def bind(self, info: untuned.PhaseInfo) -> None:
        self.seen = torch.nn.Buffer(torch.zeros(info.rows))
        self.observed = info.labels
        self.counts = info.counts

    def forward(self, outputs, batch):
        return untuned.cross_entropy(outputs.logits, batch.y)

    def after_step(self, outputs, losses, batch) -> None:
        self.seen[batch.index] += 1


def finished(spec: TrainingSpec) -> tuple[dict, dict, bytes]:
    """Result, last state and model file of a trial."""
    *_, last = run_trial(spec)
    assert last.result is not None
    state = last.snapshot()
    return last.result, state, artifacts(spec, state)["model.pt"]


@pytest.fixture(scope="module")
def meta_weight_net():
    return finished(training_spec("mw_net"))


def test_the_weight_function_is_the_one_that_the_history_recorded(meta_weight_net):
    result, state, model = meta_weight_net
    history = state["history"]
    objective = untuned.load_objective(io.BytesIO(model))
    assert isinstance(objective, MetaWeightNet)
    found = objective.learned()["weight_function"].tolist()
    assert found == history[-1]["learned/weight_function"]
    assert found == result["learned"]["learned/weight_function"]
    assert found != history[0]["learned/weight_function"]


def test_under_the_selected_rule_it_is_that_of_the_selected_epoch():
    spec = under(training_spec("mw_net"), {"metric": "nll", "epoch": "selected"})
    spec = under(spec, {"lr": 2.0, "decay": "constant"}, "schedule")  # far too long: val jumps
    result, state, model = finished(spec)
    selected = result["selected_epoch"]
    assert selected < len(state["history"])
    found = untuned.load_objective(io.BytesIO(model)).learned()["weight_function"].tolist()
    assert found == state["history"][selected - 1]["learned/weight_function"]


def test_a_learned_hyperparameter_is_the_one_that_the_history_recorded():
    result, _, model = finished(training_spec("gce_learned"))
    objective = untuned.load_objective(io.BytesIO(model))
    assert objective.learned()["q"].item() == result["learned"]["learned/q"] != 0.7


def test_fixed_hyperparameters_are_loaded_too():
    _, _, model = finished(training_spec("ce_smooth", smoothing=0.25))
    objective = untuned.load_objective(io.BytesIO(model))
    assert isinstance(objective, CrossEntropy) and objective.smoothing() == 0.25


def test_an_arms_objective_is_that_of_its_last_phase():
    spec = in_phase(training_spec("finetune"), 0, method="methods.losses.focal:Focal")
    _, _, model = finished(spec)
    assert isinstance(untuned.load_objective(io.BytesIO(model)), CrossEntropy)


@pytest.mark.parametrize("pool", ["train", "train+meta"])
def test_memory_that_bind_allocates_is_loaded_with_what_it_was_bound_to(pool):
    spec = in_phase(training_spec("ce"), method=f"{__name__}:Remembers", pool=pool)
    _, trained, model = finished(spec)
    objective = untuned.load_objective(io.BytesIO(model))
    assert isinstance(objective, Remembers)
    assert torch.equal(objective.seen, trained["objective"]["seen"])
    assert objective.seen.sum() > 0 and len(objective.observed) == 1797
    assert torch.equal(objective.counts.sum(), (objective.observed >= 0).sum())
    assert bool((objective.observed[objective.seen > 0] >= 0).all())


def test_a_trials_directory_stands_for_the_model_of_its_newest_attempt(tmp_path, meta_weight_net):
    for attempt, content in ((2, b"an old one"), (10, meta_weight_net[2])):
        folder = tmp_path / "mw_net-0" / "attempts" / str(attempt)
        folder.mkdir(parents=True)
        (folder / "model.pt").write_bytes(content)
    for source in (tmp_path / "mw_net-0", str(folder / "model.pt")):
        assert isinstance(untuned.load_objective(source), MetaWeightNet)
        assert untuned.load_model(source)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_a_directory_without_a_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(untuned.UserError, match=r"no model\.pt is there; models are kept of"):
        untuned.load_model(tmp_path)


def test_a_model_of_an_earlier_version_loads_and_says_that_it_has_no_objective(
    tmp_path: Path, meta_weight_net
):
    saved = torch.load(io.BytesIO(meta_weight_net[2]), weights_only=True)
    del saved["objective"]
    torch.save(saved, tmp_path / "model.pt")
    assert untuned.load_model(tmp_path / "model.pt").classes[0] == "0"
    with pytest.raises(untuned.UserError, match="by a version that saved no objective"):
        untuned.load_objective(tmp_path / "model.pt")


def test_two_networks_are_loaded_as_one_that_predicts_their_mean():
    spec = training_spec("coteaching")
    result, state, model = finished(spec)
    classifier = untuned.load_model(io.BytesIO(model))
    task = prepare(spec.protocol, spec.data_seed)
    predicted = classifier(task.test.x).argmax(1)
    accuracy = (predicted == task.test.y).double().mean().item()
    assert accuracy == pytest.approx(result["held_out"]["last"]["accuracy"], abs=1e-12)
    assert len(state["model"]) == 2 * len(finished(training_spec("ce"))[1]["model"])


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: bytes(len(data))])
def test_a_damaged_model_is_one_line(damage, meta_weight_net, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(damage(meta_weight_net[2]))
    for load in (untuned.load_model, untuned.load_objective):
        with pytest.raises(untuned.UserError, match=r"model.pt' is no trial's model, or a damaged"):
            load(path)
