"""Example weights by rule."""

from optuna.distributions import FloatDistribution as Float

ARMS = {
    # Chang et al. 2017 take epsilon from the statistic's mean; 0.2, and a warm-up of 15 of 100
    # epochs, are a reproduction's.
    "active_bias": {
        "about": "active bias: more weight on uncertain examples (Chang et al. 2017)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.active_bias:ActiveBias"}],
        "default": {"epsilon": 0.2, "warmup": 0.15},
        "space": {"epsilon": Float(0.01, 1.0, log=True), "warmup": Float(0.05, 0.5)},
    },
    "random_weights": {
        "about": "control: L2RW's weights replaced by rectified noise (Ren et al. 2018)",
        "kind": "control",
        "phases": [{"method": "methods.weighting.random_weights:RandomWeights"}],
    },
}
