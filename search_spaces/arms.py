"""The table of contents of every study: one entry per arm.

An arm is one or more phases (method, pool, how it meta-learns), its published defaults, and the
space that is tuned.
Ranges are those of the papers and their follow-ups; where a paper gives a grid, its ends.
"""

from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

CE = "methods.cross_entropy:CrossEntropy"
GCE = "methods.generalized_cross_entropy:GeneralizedCrossEntropy"
SCE = "methods.symmetric_cross_entropy:SymmetricCrossEntropy"
FOCAL = "methods.focal:Focal"

# Zhang & Sabuncu 2018: q = 0.7; the usual grid is 0.1 ... 1.
Q = {"q": Float(0.05, 1.0)}
# Wang et al. 2019: alpha 0.1, beta 1 on CIFAR-10; the authors advise alpha 0.01 ... 10, beta 0.1
# ... 10. A is the paper's.
ALPHA_BETA = {"alpha": Float(0.01, 10.0, log=True), "beta": Float(0.1, 10.0, log=True)}
# Lin et al. 2017: gamma = 2, tried 0 ... 5.
GAMMA = {"gamma": Float(0.0, 5.0)}
# How often the clean examples are repeated in an epoch of train+meta.
REPEAT = {"meta_repeat": Int(1, 30, log=True)}

ARMS = {
    "ce": {
        "about": "cross-entropy on the noisy labels",
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
    "ce_plus_meta": {
        "about": "cross-entropy on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [{"method": CE, "pool": "train+meta"}],
        "default": {"meta_repeat": 10},
        "space": REPEAT,
    },
    "ce_smooth_plus_meta": {
        "about": "label smoothing on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [{"method": CE, "pool": "train+meta"}],
        "default": {"smoothing": 0.1, "meta_repeat": 10},
        "space": {"smoothing": Float(0.0, 0.6)} | REPEAT,
    },
    "gce_plus_meta": {
        "about": "generalized cross-entropy on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [{"method": GCE, "pool": "train+meta"}],
        "default": {"q": 0.7, "meta_repeat": 10},
        "space": Q | REPEAT,
    },
    "sce_plus_meta": {
        "about": "symmetric cross-entropy on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [{"method": SCE, "pool": "train+meta"}],
        "default": {"alpha": 0.1, "beta": 1.0, "meta_repeat": 10},
        "space": ALPHA_BETA | REPEAT,
    },
    "focal_plus_meta": {
        "about": "focal loss on the noisy and the clean examples",
        "kind": "tuned loss",
        "phases": [{"method": FOCAL, "pool": "train+meta"}],
        "default": {"gamma": 2.0, "meta_repeat": 10},
        "space": GAMMA | REPEAT,
    },
    "clean_only": {
        "about": "control: the clean meta examples alone",
        "kind": "control",
        "phases": [{"method": CE, "pool": "meta"}],
    },
    "clean_only_all": {
        "about": "control: the clean meta and val examples alone",
        "kind": "control",
        "phases": [{"method": CE, "pool": "meta+val"}],
    },
    "finetune": {
        "about": "control: cross-entropy on the noisy labels, then on the clean ones",
        "kind": "control",
        "phases": [
            {"name": "noisy", "method": CE},
            {
                "name": "finetune",
                "method": CE,
                "pool": "meta",
                "schedule": {"lr": 0.01, "decay": "constant", "warmup_epochs": 0},
            },
        ],
        "knobs": ["noisy.schedule.lr", "finetune.schedule.lr", "finetune.epochs"],
    },
    "random_weights": {
        "about": "control: L2RW's weights replaced by rectified noise (Ren et al. 2018)",
        "kind": "control",
        "phases": [{"method": "methods.random_weights:RandomWeights"}],
    },
    "l2rw": {
        "about": "learning to reweight examples (Ren et al. 2018)",
        "kind": "meta-learned weights",
        "phases": [{"method": "methods.learning_to_reweight:LearningToReweight"}],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.batch_size"],
    },
    "mw_net": {
        "about": "Meta-Weight-Net (Shu et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": "methods.meta_weight_net:MetaWeightNet",
                "meta": {"lr": 1e-3, "weight_decay": 1e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    "gce_learned": {
        "about": "GCE whose q learns itself from the clean loss (Shu et al. 2020)",
        "kind": "meta-learned loss",
        "phases": [
            {"method": GCE, "hyperparameters": {"q": 0.7, "learn": True}, "meta": {"lr": 1e-2}}
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr"],
    },
    "sce_learned": {
        "about": "SCE whose alpha and beta learn themselves from the clean loss (Shu et al. 2020)",
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
        "about": "focal loss whose gamma learns itself from the clean loss (after Shu et al. 2020)",
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
}
