"""Ways to meta-learn that go together, and those that mean nothing: refused in one line by name."""

import pytest

from pipelines.errors import UserError
from pipelines.study.arms import resolve_arm
from pipelines.study.phase_rules import check_under
from pipelines.study.phases import IMPLICIT, Phase
from pipelines.study.protocol import Protocol

GCE = "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"
L2RW = "methods.meta.learning_to_reweight:LearningToReweight"
MW_NET = "methods.meta.meta_weight_net:MetaWeightNet"
OWN = "tests.hypergradient.own_optimizers:Cubic"


def arm(meta, method=GCE):
    hyperparameters = {"learn": True} if method == GCE else {}
    phase = {"method": method, "hyperparameters": hyperparameters, "meta": meta}
    entry = {"about": "a", "kind": "meta-learned loss", "phases": [phase]}
    return resolve_arm("mine", {"mine": entry}).resolve({})


ACCUMULATE = {"engine": "forward_accumulation"}
REFUSED = [
    (ACCUMULATE | {"lookahead": "alternating"}, GCE, "'forward_accumulation' takes its own look-"),
    (ACCUMULATE | {"graph": "retain"}, GCE, "use lookahead: rollback, graph: recompute"),
    (ACCUMULATE, MW_NET, "8 at most, MetaWeightNet has 301; use engine: forward"),
    (ACCUMULATE, L2RW, "LearningToReweight has one for each example; use engine: forward"),
    *(({"engine": e, "lookahead": "alternating"}, GCE, f"engine {e} takes no") for e in IMPLICIT),
    *(({"engine": e, "graph": "retain"}, GCE, "it allows 'recompute' only") for e in IMPLICIT),
    *(({"engine": e, "step": "own"}, GCE, "it allows 'plain' only") for e in IMPLICIT),
    *(({"engine": e, "horizon": 2}, GCE, "meta.horizon = 2: engine") for e in IMPLICIT),
    *(({"engine": e}, L2RW, "fresh weights at every step has no") for e in IMPLICIT),
    ({"engine": "t1_t2", "lookahead_rate": 2}, GCE, "meta.lookahead_rate = 2.0: engine t1_t2"),
    ({"engine": "t1_t2", "terms": 3}, GCE, "terms is an option of neumann and conjugate_gradient"),
    (
        {"damping": 0.1},
        GCE,
        "neumann and conjugate_gradient, not of forward",
    ),
    ({"engine": "neumann", "terms": 0}, GCE, "meta.terms: Input should be greater than"),
]


@pytest.mark.parametrize(("meta", "method", "message"), REFUSED, ids=str)
def test_what_means_nothing_is_refused_by_name(meta, method, message):
    with pytest.raises(UserError) as refusal:
        arm(meta, method)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("meta", "method"),
    [
        (ACCUMULATE | {"horizon": 5, "last_layers": 1, "every": 2}, GCE),
        ({"engine": "t1_t2", "last_layers": 1}, MW_NET),
        ({"engine": "neumann", "terms": 20, "damping": 0.1, "lookahead_rate": "momentum"}, MW_NET),
        ({"engine": "conjugate_gradient", "terms": 20, "damping": 0.1, "every": 5}, MW_NET),
    ],
)
def test_what_means_something_is_not(meta, method):
    assert arm(meta, method)


@pytest.mark.parametrize("meta", [{"horizon": 2}, ACCUMULATE])
def test_steps_of_an_optimizer_of_ones_own_are_not_carried_further(meta):
    def check(step, optimizer):
        schedule = {"optimizer": optimizer, "weight_decay": 0.0}
        protocol = Protocol.model_validate({"schedule": schedule})
        check_under(Phase.model_validate({"method": GCE, "meta": meta | {"step": step}}), protocol)

    for step, optimizer in (("plain", OWN), ("own", "sgd"), ("own", "adamw")):
        check(step, optimizer)
    with pytest.raises(UserError, match=r"Cubic cannot be carried further; use step: plain"):
        check("own", OWN)
