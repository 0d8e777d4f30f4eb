"""Examples that are left out."""

from optuna.distributions import FloatDistribution as Float

# Han et al. 2018 give the rate of wrong labels as known; 0.2 is no published value.
RATE = {"rate": Float(0.05, 0.6)}

ARMS = {
    "coteaching": {
        "about": "co-teaching (Han et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.selection.co_teaching:CoTeaching"}],
        "default": {"rate": 0.2},
        "space": RATE,
    },
    "small_loss": {
        "about": "only the examples of smallest loss: co-teaching's control (Han et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.selection.small_loss:SmallLoss"}],
        "default": {"rate": 0.2},
        "space": RATE,
    },
    "hard_examples": {
        "about": "negative control: only the examples of largest loss (Shrivastava et al. 2016)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.selection.hard_examples:HardExamples"}],
        "default": {"share": 0.5},
        "space": {"share": Float(0.1, 1.0)},
    },
    # Yu et al. 2019: 20 of 200 epochs on CIFAR-10.
    "coteaching_plus": {
        "about": "co-teaching where two networks disagree (Yu et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.selection.co_teaching_plus:CoTeachingPlus"}],
        "default": {"rate": 0.2},
        "space": RATE,
    },
}
