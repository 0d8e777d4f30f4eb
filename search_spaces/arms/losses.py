"""Losses with hyperparameters, fixed or tuned, on the noisy labels."""

from typing import Any

from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

AGCE = "methods.losses.asymmetric_generalized_cross_entropy:AsymmetricGeneralizedCrossEntropy"
ACTIVE_PASSIVE = "methods.losses.active_passive:ActivePassive"
BALANCED = "methods.losses.class_balanced:ClassBalanced"
BI_TEMPERED = "methods.losses.bi_tempered:BiTempered"
CE = "methods.losses.cross_entropy:CrossEntropy"
ELR = "methods.losses.early_learning:EarlyLearning"
GCE = "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"
SCE = "methods.losses.symmetric_cross_entropy:SymmetricCrossEntropy"
TRUNCATED = "methods.losses.truncated_generalized_cross_entropy:TruncatedGeneralizedCrossEntropy"
FOCAL = "methods.losses.focal:Focal"
LDAM = "methods.losses.label_distribution_aware_margin:LabelDistributionAwareMargin"
POLY_SOFT = "methods.losses.poly_soft:PolySoft"

# Zhang & Sabuncu 2018: q = 0.7; the usual grid is 0.1 ... 1.
Q = {"q": Float(0.05, 1.0)}
# Wang et al. 2019: alpha 0.1, beta 1 on CIFAR-10; the authors advise alpha 0.01 ... 10, beta 0.1
# ... 10. A is the paper's.
ALPHA_BETA = {"alpha": Float(0.01, 10.0, log=True), "beta": Float(0.1, 10.0, log=True)}
# Lin et al. 2017: gamma = 2, tried 0 ... 5.
GAMMA = {"gamma": Float(0.0, 5.0)}

ARMS: dict[str, dict[str, Any]] = {
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
        "about": "generalized cross-entropy L_q, without truncation (Zhang & Sabuncu 2018)",
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
    # log 0 as in the authors' code, which clips labels at 1e-4; only beta * |A| matters.
    "sce_code": {
        "about": "symmetric cross-entropy, log 0 as in its code (Wang et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": SCE, "hyperparameters": {"A": -9.210340371976182}}],
        "default": {"alpha": 0.1, "beta": 1.0},
        "space": ALPHA_BETA,
    },
    # The authors' values for CIFAR-100, on which the code's log 0 is theirs, too.
    "sce_cifar100": {
        "about": "symmetric cross-entropy, as for CIFAR-100 (Wang et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": SCE, "hyperparameters": {"A": -9.210340371976182}}],
        "default": {"alpha": 6.0, "beta": 0.1},
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
    # Cao et al. 2019: from epoch 160 of 200 on.
    "ce_balanced_deferred": {
        "about": "class-balanced cross-entropy, deferred (Cao et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": BALANCED}],
        "default": {"beta": 0.9999, "deferred": 0.8},
        "space": {
            "beta": Choice([0.9, 0.99, 0.999, 0.9999, 1.0]),
            "deferred": Float(0.5, 0.95),
        },
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
    "mae": {
        "about": "mean absolute error (Ghosh et al. 2017)",
        "kind": "plain",
        "phases": [{"method": "methods.losses.mean_absolute_error:MeanAbsoluteError"}],
    },
    # Ma et al. 2020: 1 and 1 on CIFAR-10, 10 and 0.1 on CIFAR-100.
    "nce_rce": {
        "about": "active passive loss, NCE + RCE (Ma et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": ACTIVE_PASSIVE}],
        "default": {"alpha": 1.0, "beta": 1.0},
        "space": {"alpha": Float(0.1, 20.0, log=True), "beta": Float(0.05, 10.0, log=True)},
    },
    # Amid et al. 2019: 0.8 and 1.2 on CIFAR-100.
    "bi_tempered": {
        "about": "bi-tempered logistic loss (Amid et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": BI_TEMPERED}],
        "default": {"t1": 0.8, "t2": 1.2},
        "space": {"t1": Float(0.1, 1.0), "t2": Float(1.0, 4.0)},
    },
    # lambda 5 for ten classes, up to 20; d 2: a published code of self-paced learning.
    "poly_soft": {
        "about": "polynomial soft weighting (Gong et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": POLY_SOFT}],
        "default": {"margin": 2.7, "d": 2.0},
        "space": {"margin": Float(0.1, 18.0, log=True), "d": Float(1.1, 20.0, log=True)},
    },
    "logit_adjusted": {
        "about": "logit-adjusted cross-entropy, tau 1: balanced softmax (Menon et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.logit_adjustment:LogitAdjustment"}],
        "default": {"tau": 1.0},
        "space": {"tau": Float(0.0, 2.0)},
    },
    # Cao et al. 2019: 0.5 on cosines times 30; here in units of logits.
    "ldam": {
        "about": "label-distribution-aware margins (Cao et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": LDAM}],
        "default": {"margin": 0.5},
        "space": {"margin": Float(0.1, 15.0, log=True)},
    },
    # Zhou et al. 2021: 0.6 and 0.6 on CIFAR; their code has a from 0.6 to 6, q from 0.2 to 3.
    "agce": {
        "about": "asymmetric generalized cross-entropy (Zhou et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": AGCE}],
        "default": {"a": 0.6, "q": 0.6},
        "space": {"a": Float(0.1, 6.0, log=True), "q": Float(0.1, 3.0, log=True)},
    },
    # Zhou et al. 2021: 5.5 and 3 on CIFAR; their code has a from 1.5 to 6.3, q from 0.1 to 3.
    "aul": {
        "about": "asymmetric unhinged loss (Zhou et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.asymmetric_unhinged:AsymmetricUnhinged"}],
        "default": {"a": 5.5, "q": 3.0},
        "space": {"a": Float(1.5, 6.5, log=True), "q": Float(0.1, 4.0, log=True)},
    },
    # Zhou et al. 2021: 2.5 on CIFAR; their code has 1.5 to 5.
    "ael": {
        "about": "asymmetric exponential loss (Zhou et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.asymmetric_exponential:AsymmetricExponential"}],
        "default": {"a": 2.5},
        "space": {"a": Float(1.0, 6.0, log=True)},
    },
    # Zhou et al. 2021: 1 and 4 on CIFAR-10 with a 6 and q 1.5; 10 and 0.1 on CIFAR-100.
    "nce_agce": {
        "about": "active passive loss, NCE + AGCE (Zhou et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.active_asymmetric:ActiveAsymmetric"}],
        "default": {"alpha": 1.0, "beta": 4.0},
        "space": {"alpha": Float(0.1, 20.0, log=True), "beta": Float(0.05, 10.0, log=True)},
    },
    # Englesson & Azizpour 2021: 0.7 on CIFAR-10 with 20 and 40 % noise, of 0.1 ... 0.9.
    "js": {
        "about": "Jensen-Shannon loss (Englesson & Azizpour 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.jensen_shannon:JensenShannon"}],
        "default": {"pi": 0.7},
        "space": {"pi": Float(0.1, 0.9)},
    },
    # 2 is no published value: none could be read.
    "taylor_ce": {
        "about": "Taylor cross-entropy (Feng et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.taylor_cross_entropy:TaylorCrossEntropy"}],
        "default": {"t": 2},
        "space": {"t": Int(1, 20, log=True)},
    },
    # Menon et al. 2020: 2 on CIFAR-10, 10 on MNIST and CIFAR-100; a reproduction tried 50.
    "phuber_ce": {
        "about": "partially Huberised cross-entropy (Menon et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.partially_huberised:PartiallyHuberised"}],
        "default": {"tau": 2.0},
        "space": {"tau": Float(1.1, 50.0, log=True)},
    },
    # Ye et al. 2023: 5, 5, 5e-5 on CIFAR-10; their configurations have alpha up to 20, beta from 1
    # to 5, delta from 5e-7 to 5e-5, and no weight decay.
    "anl_ce": {
        "about": "active negative loss, NCE + NNCE (Ye et al. 2023)",
        "kind": "tuned loss",
        "phases": [
            {
                "method": "methods.losses.active_negative:ActiveNegative",
                "schedule": {"weight_decay": 0.0},
            }
        ],
        "default": {"alpha": 5.0, "beta": 5.0, "delta": 5e-5},
        "knobs": ["schedule.lr", "delta"],
        "space": {
            "alpha": Float(0.1, 20.0, log=True),
            "beta": Float(0.05, 10.0, log=True),
            "delta": Float(1e-7, 1e-3, log=True),
        },
    },
    # Wei et al. 2023: 1 is their code's default, 1.5 its example; the range is ours.
    "logit_clip": {
        "about": "logit clipping (Wei et al. 2023)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.logit_clipping:LogitClipping"}],
        "default": {"tau": 1.0},
        "space": {"tau": Float(0.25, 10.0, log=True)},
    },
    # Zhou et al. 2021: 0.5, 0.1, 1.2 on CIFAR-10, 1.03 times as much at each of 120 epochs; their
    # code has tau from 0.1, s from 0.01, lam up to 10.
    "ce_sparse": {
        "about": "cross-entropy with sparse regularization (Zhou et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.sparse_regularization:SparseRegularization"}],
        "default": {"tau": 0.5, "s": 0.1, "lam": 1.2},
        "space": {
            "tau": Float(0.1, 1.0, log=True),
            "s": Float(0.01, 0.5, log=True),
            "lam": Float(0.1, 10.0, log=True),
        },
    },
    # Kini et al. 2021: 0.2 and 1.2 in their example, CIFAR-10 with a long tail of 100; our ranges.
    "vs_loss": {
        "about": "vector-scaling loss (Kini et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.losses.vector_scaling:VectorScaling"}],
        "default": {"gamma": 0.2, "tau": 1.2},
        "space": {"gamma": Float(0.0, 0.5), "tau": Float(0.0, 2.0)},
    },
}
