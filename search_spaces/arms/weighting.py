"""Example weights by rule."""

ARMS = {
    "random_weights": {
        "about": "control: L2RW's weights replaced by rectified noise (Ren et al. 2018)",
        "kind": "control",
        "phases": [{"method": "methods.weighting.random_weights:RandomWeights"}],
    },
}
