"""Losses with hyperparameters, fixed or tuned, on the noisy labels; and on the clean ones too."""

from typing import Any

from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

BALANCED = "methods.losses.class_balanced:ClassBalanced"
CE = "methods.losses.cross_entropy:CrossEntropy"
ELR = "methods.losses.early_learning:EarlyLearning"
GCE = "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"
SCE = "methods.losses.symmetric_cross_entropy:SymmetricCrossEntropy"
TRUNCATED = "methods.losses.truncated_generalized_cross_entropy:TruncatedGeneralizedCrossEntropy"
FOCAL = "methods.losses.focal:Focal"

# Zhang & Sabuncu 2018: q = 0.7; the usual grid is 0.1 ... 1.
Q = {"q": Float(0.05, 1.0)}
# Wang et al. 2019: alpha 0.1, beta 1 on CIFAR-10; the authors advise alpha 0.01 ... 10, beta 0.1
# ... 10. A is the paper's.
ALPHA_BETA = {"alpha": Float(0.01, 10.0, log=True), "beta": Float(0.1, 10.0, log=True)}
# Lin et al. 2017: gamma = 2, tried 0 ... 5.
GAMMA = {"gamma": Float(0.0, 5.0)}
# How often the clean examples are repeated in an epoch of train+meta.
REPEAT = {"meta_repeat": Int(1, 30, log=True)}

LOSSES: dict[str, dict[str, Any]] = {
    "ce": {
        "about": "plain cross-entropy",
        "kind": "plain",
        "phases": [{"method": CE}],
    },
    "ce_smooth": {
        "about": "label smoothing (Szegedy et al. 2016)",
        "kind": "tuned loss",
        "phases": [{"method": CE}],
        "default": {"smoothing": 0.1},
        "space": {"smoothing": Float(0.0, 0.6)},
    },
    "gce": {
        "about": "generalized cross-entropy (Zhang & Sabuncu 2018)",
        "kind": "tuned loss",
        "phases": [{"method": GCE}],
        "default": {"q": 0.7},
        "space": Q,
    },
    "sce": {
        "about": "symmetric cross-entropy (Wang et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": SCE}],
        "default": {"alpha": 0.1, "beta": 1.0},
        "space": ALPHA_BETA,
    },
    "focal": {
        "about": "focal loss (Lin et al. 2017)",
        "kind": "tuned loss",
        "phases": [{"method": FOCAL}],
        "default": {"gamma": 2.0},
        "space": GAMMA,
    },
    # Cui et al. 2019: the four values that they tried; 1 is inverse frequency.
    "ce_balanced": {
        "about": "class-balanced cross-entropy (Cui et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": BALANCED}],
        "default": {"beta": 0.9999},
        "space": {"beta": Choice([0.9, 0.99, 0.999, 0.9999, 1.0])},
    },
    # Zhang & Sabuncu 2018: k = 0.5, first after 40 of 120 epochs, then every 10.
    "gce_truncated": {
        "about": "truncated generalized cross-entropy (Zhang & Sabuncu 2018)",
        "kind": "tuned loss",
        "phases": [{"method": TRUNCATED}],
        "default": {"q": 0.7, "k": 0.5},
        "space": Q | {"k": Float(0.05, 0.9)},
    },
    # Liu et al. 2020: lambda 3 and beta 0.7 on CIFAR-10; tried 1 ... 10 and 0.5 ... 0.99.
    "elr": {
        "about": "early-learning regularization (Liu et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": ELR}],
        "default": {"lam": 3.0, "beta": 0.7},
        "space": {"lam": Float(1.0, 10.0, log=True), "beta": Float(0.5, 0.99)},
    },
}


def plus_meta(entry: dict[str, Any]) -> dict[str, Any]:
    """The same loss on the noisy and the clean examples; how often these are repeated is tuned."""
    [phase] = entry["phases"]
    return {
        "about": f"{entry['about']}, on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [phase | {"pool": "train+meta"}],
        "default": entry.get("default", {}) | {"meta_repeat": 10},
        "space": entry.get("space", {}) | REPEAT,
    }


ARMS = LOSSES | {f"{name}_plus_meta": plus_meta(entry) for name, entry in LOSSES.items()}
