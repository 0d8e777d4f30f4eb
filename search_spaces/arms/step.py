"""The step itself: learning rate and weight decay, tuned, learned or adapted; penalties."""

from optuna.distributions import FloatDistribution as Float

from search_spaces.arms.losses import CE

LEARNED = "methods.meta.learned_step:LearnedStep"
#: The penalty has the weight decay in it.
NO_DECAY = {"weight_decay": 0.0}

ARMS = {
    "lr_tuned": {
        "about": "cross-entropy with a tuned learning rate",
        "kind": "tuned loss",
        "phases": [{"method": CE}],
        "default": {"schedule.lr": 0.1},
        "knobs": ["schedule.weight_decay"],
        "space": {"schedule.lr": Float(1e-3, 1.0, log=True)},
    },
    "wd_tuned": {
        "about": "cross-entropy with a tuned weight decay",
        "kind": "tuned loss",
        "phases": [{"method": CE}],
        "default": {"schedule.weight_decay": 5e-4},
        "knobs": ["schedule.lr"],
        "space": {"schedule.weight_decay": Float(1e-6, 1e-1, log=True)},
    },
    # Tarvainen & Valpola 2017: 0.999, and 0.99 in the first epochs; they tried up to 0.9999.
    "ce_ema": {
        "about": "cross-entropy, predictions by the moving average of its weights (Tarvainen & "
        "Valpola 2017)",
        "kind": "tuned loss",
        "phases": [{"method": CE}],
        "default": {"ema": 0.999},
        "knobs": ["schedule.lr", "schedule.weight_decay", "ema"],
        "space": {"ema": Float(0.9, 0.9999)},
    },
    # Baydin et al. 2018: their code's beta, and the range that they tried. The rate starts at the
    # schedule's.
    "lr_descent": {
        "about": "cross-entropy, learning rate by hypergradient descent (Baydin et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": CE, "schedule": {"decay": "hypergradient", "warmup_epochs": 0}}],
        "default": {"schedule.hypergradient_lr": 1e-6},
        "space": {"schedule.hypergradient_lr": Float(1e-8, 1e-2, log=True)},
    },
    "lr_learned": {
        "about": "cross-entropy whose learning rate learns itself from the clean loss",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": LEARNED,
                "hyperparameters": {"learn_rate": True},
                "schedule": NO_DECAY,
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "decay", "meta.lr"],
    },
    "wd_learned": {
        "about": "cross-entropy whose weight decay learns itself from the clean loss",
        "kind": "meta-learned loss",
        "phases": [
            {
                "method": LEARNED,
                "hyperparameters": {"decay": 5e-4, "learn_decay": True},
                "schedule": NO_DECAY,
                "meta": {"lr": 1e-2},
            }
        ],
        "knobs": ["schedule.lr", "decay", "meta.lr"],
    },
    "scale_shift": {
        "about": "cross-entropy with a penalty that no shift of scales changes (Liu et al. 2020)",
        "kind": "tuned loss",
        "phases": [
            {
                "method": "methods.losses.scale_shift_invariant:ScaleShiftInvariant",
                "schedule": NO_DECAY,
            }
        ],
        "default": {"c": 1e-4},
        "knobs": ["schedule.lr", "c"],
        "space": {"c": Float(1e-6, 1e-1, log=True)},
    },
}
