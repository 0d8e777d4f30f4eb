"""Controls that are no networks, on the same noisy labels."""

from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

LOGISTIC = "methods.shallow.logistic_regression:LogisticRegression"
TREES = "methods.shallow.gradient_boosting:GradientBoosting"
BALANCED = {"hyperparameters": {"balanced": True}}


def _logistic(about: str, **phase: object) -> dict:
    return {
        "about": f"control: logistic regression{about}",
        "kind": "control",
        "phases": [{"method": LOGISTIC} | phase],
        "knobs": ["c"],
        "default": {"c": 1.0},
        "space": {"c": Float(1e-4, 1e2, log=True)},
    }


def _trees(about: str, **phase: object) -> dict:
    return {
        "about": f"control: gradient-boosted trees{about} (Friedman 2001)",
        "kind": "control",
        "phases": [{"method": TREES} | phase],
        "knobs": ["learning_rate", "max_leaf_nodes", "rounds", "min_samples_leaf"],
        "default": {"learning_rate": 0.1, "max_leaf_nodes": 31},
        "space": {"learning_rate": Float(0.01, 0.5, log=True), "max_leaf_nodes": Int(2, 128)},
    }


ARMS = {
    "logistic_regression": _logistic(""),
    "logistic_regression_balanced": _logistic(", all classes with equal weight", **BALANCED),
    "boosted_trees": _trees(""),
    "boosted_trees_balanced": _trees(", all classes with equal weight", **BALANCED),
}
