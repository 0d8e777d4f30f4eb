"""Example weights and loss hyperparameters that learn themselves from the clean labels."""

from collections.abc import Sequence
from typing import Any

from search_spaces.arms.losses import BI_TEMPERED, CE, FOCAL, GCE, POLY_SOFT, SCE

CMW_NET = "methods.meta.cmw_net:CMWNet"
L2RW = "methods.meta.learning_to_reweight:LearningToReweight"
MW_NET = "methods.meta.meta_weight_net:MetaWeightNet"
WEIGHTS, LOSS = "meta-learned weights", "meta-learned loss"
STEP = ["schedule.lr", "schedule.weight_decay"]
#: The meta optimizer of the authors' later code.
ADAM = {"lr": 1e-3, "weight_decay": 1e-4}
#: A look-ahead at lr / (1 - momentum), where published codes take lr.
FAR = {"lookahead_rate": "momentum"}


def entry(
    about: str,
    kind: str,
    method: str,
    meta: dict[str, Any] | None = None,
    knobs: Sequence[str] = ("meta.lr",),
    **hyperparameters: Any,
) -> dict[str, Any]:
    """An arm of one phase, whose step is moved by a sensitivity study beside its own knobs."""
    phase: dict[str, Any] = {"method": method}
    if hyperparameters:
        phase["hyperparameters"] = hyperparameters
    if meta:
        phase["meta"] = meta
    return {"about": about, "kind": kind, "phases": [phase], "knobs": [*STEP, *knobs]}


def learned_loss(
    about: str, method: str, look_ahead: dict[str, Any] | None = None, **hyperparameters: Any
) -> dict[str, Any]:
    """A loss whose hyperparameters learn themselves from where they are given, by Adam at 1e-2."""
    meta = {"lr": 1e-2} | (look_ahead or {})
    return entry(about, LOSS, method, meta, **hyperparameters, learn=True)


ARMS: dict[str, dict[str, Any]] = {
    "l2rw": entry(
        "learning to reweight examples (Ren et al. 2018)", WEIGHTS, L2RW, knobs=["meta.batch_size"]
    ),
    # docs/methods.md, "A learning rate that nobody tuned": chosen on four sets by a rule.
    "l2rw_safe": entry(
        "L2RW of which no example weighs more than in plain cross-entropy (after Ren et al. 2018)",
        WEIGHTS,
        L2RW,
        knobs=["meta.batch_size"],
        scale="damped",
        cap=1.0,
    ),
    # Neither of the published ones: the 2019 code's normalised weights, the later code's Adam.
    "mw_net": entry(
        "Meta-Weight-Net, our mixture of its two codes (after Shu et al. 2019)",
        WEIGHTS,
        MW_NET,
        ADAM,
        ["meta.lr", "hidden"],
    ),
    "mw_net_2019": entry(
        "Meta-Weight-Net as in the code of its paper (Shu et al. 2019)",
        WEIGHTS,
        MW_NET,
        {"optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        ["meta.lr", "hidden"],
    ),
    "mw_net_code": entry(
        "Meta-Weight-Net as in its authors' later, stable code (Shu et al. 2019)",
        WEIGHTS,
        MW_NET,
        ADAM,
        ["meta.lr", "hidden"],
        normalize=False,
    ),
    # docs/methods.md, "The look-ahead": chosen on four sets by a rule.
    "mw_net_far": entry(
        "mw_net that looks ahead as far as momentum carries a step (after Shu et al. 2019)",
        WEIGHTS,
        MW_NET,
        ADAM | FAR,
        ["meta.lr", "hidden"],
    ),
    # The authors' Adam for feature-dependent noise and ANIMAL-10N; 1e-4 for CIFAR's other settings.
    "cmw_net": entry(
        "CMW-Net: Meta-Weight-Net with a head for each kind of class (Shu et al. 2023)",
        WEIGHTS,
        CMW_NET,
        ADAM,
        ["meta.lr", "clusters"],
    ),
    # Warm-up of 10 of 300 epochs, ema 0.997, ten examples of a class: the authors', on CIFAR-10.
    "cmw_net_pseudo": {
        "about": "CMW-Net without clean labels: those training examples count as clean that it "
        "finds easiest (Shu et al. 2023)",
        "kind": WEIGHTS,
        "phases": [
            {"name": "warm_up", "method": CE, "epochs": 1 / 30, "schedule": {"decay": "constant"}},
            {
                "name": "weighted",
                "method": CMW_NET,
                "epochs": 29 / 30,
                "ema": 0.997,
                "meta": ADAM | {"source": "pseudo_clean", "per_class": 10},
            },
        ],
        "knobs": [*STEP, "weighted.meta.lr", "weighted.meta.per_class"],
    },
    # Theirs sets 1,000 noisy examples apart for the clean loss.
    "mw_net_mae": entry(
        "Meta-Weight-Net without clean labels: mean absolute error on the noisy ones "
        "(Ghosh & Lan 2021)",
        WEIGHTS,
        MW_NET,
        ADAM | {"source": "train", "loss": "mae"},
        ["meta.lr", "hidden"],
    ),
    "gce_learned": learned_loss(
        "GCE whose q learns itself from the clean loss, by Adam (after Shu et al. 2020)", GCE, q=0.7
    ),
    "gce_learned_far": learned_loss(
        "gce_learned that looks ahead as far as momentum carries a step (after Shu et al. 2020)",
        GCE,
        FAR,
        q=0.7,
    ),
    "sce_learned": learned_loss(
        "SCE whose alpha and beta learn themselves from the clean loss, by Adam (after "
        "Shu et al. 2020)",
        SCE,
        alpha=0.1,
        beta=1.0,
    ),
    "focal_learned": learned_loss(
        "focal loss whose gamma learns itself from the clean loss, by Adam (after Shu et al. 2020)",
        FOCAL,
        gamma=2.0,
    ),
    "bi_tempered_learned": learned_loss(
        "bi-tempered loss whose t1 and t2 learn themselves (Shu et al. 2020)",
        BI_TEMPERED,
        t1=0.8,
        t2=1.2,
    ),
    "poly_soft_learned": learned_loss(
        "polynomial soft weighting whose lambda and d learn themselves (Shu et al. 2020)",
        POLY_SOFT,
        margin=2.7,
        d=2.0,
    ),
    "bilinear_learned": entry(
        "what each label stands for, K x K, learns itself (after Wu et al. 2018)",
        LOSS,
        "methods.meta.bilinear_loss:BilinearLoss",
        {"lr": 1e-2},
        ["meta.lr", "spread"],
    ),
    "piecewise_learned": entry(
        "a weight function of six numbers, by p_y, learns itself (after Li et al. 2019)",
        WEIGHTS,
        "methods.meta.piecewise_weights:PiecewiseWeights",
        {"lr": 1e-2},
        ["meta.lr", "knots"],
    ),
    "deep_weights": entry(
        "weights by features, label, loss and progress learn themselves (after Fan et al. 2021)",
        WEIGHTS,
        "methods.meta.deep_weights:DeepWeights",
        {"lr": 1e-3},
        ["meta.lr", "hidden"],
    ),
}


def after(name: str, how: str, about: str) -> dict[str, Any]:
    """An ablation: the learned arm, then the loss from the same first weights as it has learned it.

    how: `frozen`, at its last values; `replay`, along their path.
    """
    [learned] = ARMS[name]["phases"]
    again = {"name": how, "method": learned["method"], "start": "initial"}
    return {
        "about": f"ablation: {ARMS[name]['about']}; then {about}",
        "kind": LOSS,
        "phases": [
            learned | {"name": "learned"},
            again | {"hyperparameters": learned["hyperparameters"] | {"learn": how}},
        ],
        "knobs": [*STEP, "learned.meta.lr"],
    }


ARMS |= {
    f"{name}_{how}": after(f"{name}_learned", how, about)
    for name in ("gce", "sce")
    for how, about in (
        ("frozen", "again from the start with its last values"),
        ("replay", "again from the start along their path"),
    )
}
