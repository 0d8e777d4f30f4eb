"""Example weights and loss hyperparameters that learn themselves from the clean labels."""

from typing import Any

from search_spaces.arms.losses import BI_TEMPERED, CE, FOCAL, GCE, POLY_SOFT, SCE

MW_NET = "methods.meta.meta_weight_net:MetaWeightNet"
CMW_NET = "methods.meta.cmw_net:CMWNet"

ARMS: dict[str, dict[str, Any]] = {
    "l2rw": {
        "about": "learning to reweight examples (Ren et al. 2018)",
        "kind": "meta-learned weights",
        "phases": [{"method": "methods.meta.learning_to_reweight:LearningToReweight"}],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.batch_size"],
    },
    # docs/methods.md, "A learning rate that nobody tuned": chosen on four sets by a rule.
    "l2rw_safe": {
        "about": "L2RW of which no example weighs more than in plain cross-entropy (after Ren et "
        "al. 2018)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": "methods.meta.learning_to_reweight:LearningToReweight",
                "hyperparameters": {"scale": "damped", "cap": 1.0},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.batch_size"],
    },
    # Neither of the published ones: the 2019 code's normalised weights, the later code's Adam.
    "mw_net": {
        "about": "Meta-Weight-Net, our mixture of its two codes (after Shu et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": MW_NET,
                "meta": {"lr": 1e-3, "weight_decay": 1e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    "mw_net_2019": {
        "about": "Meta-Weight-Net as in the code of its paper (Shu et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": MW_NET,
                "meta": {
                    "optimizer": "sgd",
                    "lr": 1e-3,
                    "momentum": 0.9,
                    "nesterov": True,
                    "weight_decay": 5e-4,
                },
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    "mw_net_code": {
        "about": "Meta-Weight-Net as in its authors' later, stable code (Shu et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": MW_NET,
                "hyperparameters": {"normalize": False},
                "meta": {"lr": 1e-3, "weight_decay": 1e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    # The authors' Adam for feature-dependent noise and ANIMAL-10N; 1e-4 for CIFAR's other settings.
    "cmw_net": {
        "about": "CMW-Net: Meta-Weight-Net with a head for each kind of class (Shu et al. 2023)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": CMW_NET,
                "meta": {"lr": 1e-3, "weight_decay": 1e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "clusters"],
    },
    # Warm-up of 10 of 300 epochs, ema 0.997, ten examples of a class: the authors', on CIFAR-10.
    "cmw_net_pseudo": {
        "about": "CMW-Net without clean labels: those training examples count as clean that it "
        "finds easiest (Shu et al. 2023)",
        "kind": "meta-learned weights",
        "phases": [
            {"name": "warm_up", "method": CE, "epochs": 1 / 30, "schedule": {"decay": "constant"}},
            {
                "name": "weighted",
                "method": CMW_NET,
                "epochs": 29 / 30,
                "ema": 0.997,
                "meta": {
                    "lr": 1e-3,
                    "weight_decay": 1e-4,
                    "source": "pseudo_clean",
                    "per_class": 10,
                },
            },
        ],
        "knobs": [
            "schedule.lr",
            "schedule.weight_decay",
            "weighted.meta.lr",
            "weighted.meta.per_class",
        ],
    },
    # Theirs sets 1,000 noisy examples apart for the clean loss.
    "mw_net_mae": {
        "about": "Meta-Weight-Net without clean labels: mean absolute error on the noisy ones "
        "(Ghosh & Lan 2021)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": MW_NET,
                "meta": {"lr": 1e-3, "weight_decay": 1e-4, "source": "train", "loss": "mae"},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    "gce_learned": {
        "about": "GCE whose q learns itself from the clean loss, by Adam (after Shu et al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {"method": GCE, "hyperparameters": {"q": 0.7, "learn": True}, "meta": {"lr": 1e-2}}
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "sce_learned": {
        "about": "SCE whose alpha and beta learn themselves from the clean loss, by Adam (after "
        "Shu et al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": SCE,
                "hyperparameters": {"alpha": 0.1, "beta": 1.0, "learn": True},
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "focal_learned": {
        "about": "focal loss whose gamma learns itself from the clean loss, by Adam (after Shu et "
        "al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": FOCAL,
                "hyperparameters": {"gamma": 2.0, "learn": True},
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "bi_tempered_learned": {
        "about": "bi-tempered loss whose t1 and t2 learn themselves (Shu et al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": BI_TEMPERED,
                "hyperparameters": {"t1": 0.8, "t2": 1.2, "learn": True},
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "poly_soft_learned": {
        "about": "polynomial soft weighting whose lambda and d learn themselves (Shu et al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": POLY_SOFT,
                "hyperparameters": {"margin": 2.7, "d": 2.0, "learn": True},
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "bilinear_learned": {
        "about": "what each label stands for, K x K, learns itself (after Wu et al. 2018)",
        "kind": "meta-learned loss",
        "phases": [{"method": "methods.meta.bilinear_loss:BilinearLoss", "meta": {"lr": 1e-2}}],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "spread"],
    },
    "piecewise_learned": {
        "about": "a weight function of six numbers, by p_y, learns itself (after Li et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {"method": "methods.meta.piecewise_weights:PiecewiseWeights", "meta": {"lr": 1e-2}}
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "knots"],
    },
    "deep_weights": {
        "about": "weights by features, label, loss and progress learn themselves (after Fan et al. "
        "2021)",
        "kind": "meta-learned weights",
        "phases": [{"method": "methods.meta.deep_weights:DeepWeights", "meta": {"lr": 1e-3}}],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
}


def after(name: str, how: str, about: str) -> dict[str, Any]:
    """An ablation: the learned arm, then the loss from the same first weights as it has learned it.

    how: `frozen`, at its last values; `replay`, along their path.
    """
    [learned] = ARMS[name]["phases"]
    again = {"name": how, "method": learned["method"], "start": "initial"}
    return {
        "about": f"ablation: {ARMS[name]['about']}; then {about}",
        "kind": "meta-learned loss",
        "phases": [
            learned | {"name": "learned"},
            again | {"hyperparameters": learned["hyperparameters"] | {"learn": how}},
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "learned.meta.lr"],
    }


ARMS |= {
    f"{name}_{how}": after(f"{name}_learned", how, about)
    for name in ("gce", "sce")
    for how, about in (
        ("frozen", "again from the start with its last values"),
        ("replay", "again from the start along their path"),
    )
}
