"""Example passes against the multiplications that a step takes, which no load of a machine alters.

As many clean examples as others, as in `benchmarks.step`. A network whose first layer is most of it
is another matter: that layer's inputs need no gradient.
"""

from dataclasses import replace

import pytest
import torch

from benchmarks.timing import multiplications
from pipelines.training.trial import TrainingRun
from tests.conftest import in_phase, small_study, training_spec, under

EXAMPLES = 99  # a third of those for training
SPLITS = {
    "splits.meta": EXAMPLES,
    "splits.val": 50,
    "splits.test": 1350,
    "splits.unlabelled": 1,
}
HARDER = ["maxup", "pgd_training", "fgsm_training", "robust_self_training"]
META = ["l2rw", "mw_net", "cmw_net", "gce_learned", "sce_learned"]
STUDY = small_study([*HARDER, *META, "ce", "coteaching"])
MODELS = {
    "mlp": {"model.name": "mlp", "model.options": {"hidden": [256] * 6}},
    "cnn": {"model.name": "cnn", "model.options": {"width": 16}},
}
ENGINES = ["forward", "finite_difference", "one_sided_difference", "double_backward"]
SERIES = ["neumann", "conjugate_gradient"]
WAYS = [
    *((arm, {}) for arm in HARDER),
    *(("l2rw", {"engine": engine}) for engine in ENGINES),
    *(("l2rw", {"engine": engine, "last_layers": 1}) for engine in ENGINES),
    ("l2rw", {"engine": "one_sided_difference", "graph": "retain"}),
    *(("mw_net", {"engine": engine}) for engine in ENGINES),
    *(("mw_net", {"engine": engine, "last_layers": 1}) for engine in ENGINES),
    *(("mw_net", {"engine": engine, "graph": "retain"}) for engine in ENGINES[:3]),
    *(("mw_net", {"engine": engine, "lookahead": "alternating"}) for engine in ENGINES[:3]),
    *(("gce_learned", {"engine": engine, "horizon": 2}) for engine in ENGINES),
    *(("mw_net", {"engine": engine, "horizon": 4}) for engine in ENGINES),
    *(("mw_net", {"engine": e, "horizon": 3, "last_layers": 1}) for e in ENGINES),
    ("cmw_net", {}),
    *(("mw_net", {"source": source}) for source in ("train", "pseudo_clean")),
    *(("gce_learned", {"engine": "forward_accumulation", "horizon": k}) for k in (1, 2, 5)),
    *(("sce_learned", {"engine": "forward_accumulation", "horizon": k}) for k in (1, 2, 5)),
    ("sce_learned", {"engine": "forward_accumulation", "horizon": 3, "last_layers": 1}),
    *(("mw_net", {"engine": "t1_t2", **more}) for more in ({}, {"last_layers": 1})),
    *(("mw_net", {"engine": e, "terms": terms}) for e in SERIES for terms in (1, 3, 10)),
    *(("mw_net", {"engine": engine, "last_layers": 1}) for engine in SERIES),
    ("gce_learned", {"step": "own"}),
    ("gce_learned", {"step": "own", "horizon": 3}),
]


def one_step(arm, model, **meta):
    """The passes of a step of an arm's last phase, and its multiplications."""
    spec = training_spec(arm, STUDY)
    spec = in_phase(replace(spec, phases=spec.phases[-1:]), meta=meta | {"batch_size": EXAMPLES})
    training = TrainingRun(under(spec, SPLITS | MODELS[model]), torch.device("cpu")).training
    step_inputs, passes = training.epoch_inputs(0)[0], []
    found = multiplications(lambda: passes.append(training.step(step_inputs, 0, 0)[1]))
    return passes[0], found


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """A network, and the multiplications of a pass by a plain step of it."""
    passes, found = one_step("ce", request.param)
    return request.param, found / passes


@pytest.mark.parametrize(("arm", "meta"), WAYS, ids=str)
def test_the_count_of_passes_is_what_a_step_multiplies(arm, meta, model):
    name, per_pass = model
    passes, found = one_step(arm, name, **meta)
    assert 1 / 1.1 < passes * per_pass / found < 1.1


def test_so_it_is_with_the_attack_at_the_end_of_an_epoch(model):
    name, per_pass = model
    counts = []
    for steps in (1, 10):
        changes = SPLITS | MODELS[name] | {"attack.steps": steps}
        run = TrainingRun(under(training_spec("ce", STUDY), changes), torch.device("cpu"))
        where = run.training.network, run.objective
        found = multiplications(lambda run=run, where=where: run.evaluator.epoch(*where, 1, 0))
        counts.append((run.evaluator.passes(1), found))
    (few, once), (many, often) = counts
    assert 1 / 1.1 < (many - few) * per_pass / (often - once) < 1.1
