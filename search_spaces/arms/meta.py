"""Example weights and loss hyperparameters that learn themselves from the clean labels."""

from search_spaces.arms.losses import FOCAL, GCE, SCE

ARMS = {
    "l2rw": {
        "about": "learning to reweight examples (Ren et al. 2018)",
        "kind": "meta-learned weights",
        "phases": [{"method": "methods.meta.learning_to_reweight:LearningToReweight"}],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.batch_size"],
    },
    "mw_net": {
        "about": "Meta-Weight-Net (Shu et al. 2019)",
        "kind": "meta-learned weights",
        "phases": [
            {
                "method": "methods.meta.meta_weight_net:MetaWeightNet",
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
