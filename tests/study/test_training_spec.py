"""What one trial trains."""

from dataclasses import replace

from pipelines.study.training_spec import TrainingSpec
from tests.conftest import in_phase, small_study, training_spec, under


def test_it_is_read_from_the_spec_that_the_planner_made_and_its_scenarios_protocol():
    study = small_study(arms=("finetune",))
    document = {
        "phases": [phase.model_dump() for phase in study.arm("finetune").resolve({})],
        "data_seed": 1,
        "run_seed": 2,
    }
    assert TrainingSpec.of(document, study.protocol) == training_spec("finetune", study)  # type: ignore


def test_its_modules_are_its_methods_and_a_users_own_model_source_and_optimizer():
    spec = under(training_spec("finetune"), {"data.source": "theirs:load"})
    spec = under(spec, {"model": {"name": "nets.wide:make"}})
    spec = in_phase(spec, 1, method="mine:Loss")
    methods = ("methods.losses.cross_entropy", "mine")
    spec = in_phase(spec, 1, schedule={"optimizer": "opt:Slow"})
    spec = in_phase(spec, 0, schedule={"optimizer": "torch.optim:Adagrad"})
    assert spec.modules == (*methods, "nets.wide", "opt", "theirs")
    assert replace(training_spec("ce"), run_seed=3).modules == methods[:1]
