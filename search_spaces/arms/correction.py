"""Losses and labels corrected for the noise."""

from optuna.distributions import FloatDistribution as Float

from search_spaces.arms.losses import CE

NOISY = {"name": "noisy", "method": CE}

ARMS = {
    "glc": {
        "about": "gold loss correction (Hendrycks et al. 2018)",
        "kind": "control",
        "phases": [
            NOISY,
            {
                "name": "corrected",
                "method": "methods.correction.gold_loss_correction:GoldLossCorrection",
                "pool": "train+meta",
                "start": "initial",
            },
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "corrected.meta_repeat"],
    },
    # Patrini et al. 2017: the 97th percentile where classes are few, none where they are many.
    "forward": {
        "about": "forward correction, transition matrix estimated (Patrini et al. 2017)",
        "kind": "tuned loss",
        "phases": [
            NOISY,
            {
                "name": "corrected",
                "method": "methods.correction.forward_correction:ForwardCorrection",
                "start": "fresh",
            },
        ],
        "default": {"corrected.quantile": 0.97},
        "space": {"corrected.quantile": Float(0.9, 1.0)},
    },
    "mlc": {
        "about": "meta label correction (Zheng et al. 2021)",
        "kind": "meta-learned labels",
        "phases": [
            {
                "method": "methods.correction.meta_label_correction:MetaLabelCorrection",
                "pool": "train+meta",
                "meta": {"lr": 3e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
}
