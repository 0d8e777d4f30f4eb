"""Training on examples without a label, too: in studies that have some (`splits.unlabelled`)."""

from optuna.distributions import FloatDistribution as Float

from search_spaces.arms.losses import CE

ARMS = {
    # Raghunathan et al. 2020: 0.9, where a batch has as many examples with a label as without, and
    # the data nine times as many without; here a batch is drawn from both, and 0.5 is the same.
    "self_training": {
        "about": "self-training: cross-entropy on the first model's predictions where there is no "
        "label (Raghunathan et al. 2020)",
        "kind": "tuned loss",
        "phases": [
            {"name": "teacher", "method": CE},
            {
                "name": "student",
                "method": "methods.semi_supervised.self_training:SelfTraining",
                "pool": "train+unlabelled",
                "start": "fresh",
            },
        ],
        "default": {"student.weight": 0.5},
        "space": {"student.weight": Float(0.1, 0.9)},
    },
}
