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
    # beta 0.5, a robust weight of 0.5, and steps of 0.007 at a radius of 0.031 are theirs.
    "robust_self_training": {
        "about": "robust self-training: the same, on adversarial inputs too (Raghunathan et al. "
        "2020)",
        "kind": "tuned loss",
        "phases": [
            {"name": "teacher", "method": CE},
            {
                "name": "student",
                "method": "methods.semi_supervised.robust_self_training:RobustSelfTraining",
                "pool": "train+unlabelled",
                "start": "fresh",
            },
        ],
        "default": {"student.beta": 0.5, "student.weight": 0.5},
        "space": {"student.beta": Float(0.1, 1.0), "student.weight": Float(0.1, 0.9)},
    },
}
