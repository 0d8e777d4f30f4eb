"""Examples that are left out."""

from typing import Any

from optuna.distributions import FloatDistribution as Float

# Han et al. 2018 give the rate of wrong labels as known; 0.2 is no published value.
RATE = {"rate": Float(0.05, 0.6)}


def oracle(about: str, method: str) -> dict[str, Any]:
    """The twin that is told the measured rate of wrong labels, as the paper's experiments are."""
    return {
        "about": f"oracle: {about} at the true rate of wrong labels, an upper bound",
        "kind": "oracle",
        "phases": [{"method": method, "hyperparameters": {"rate": "measured"}}],
    }


CO_TEACHING = "methods.selection.co_teaching:CoTeaching"
CO_TEACHING_PLUS = "methods.selection.co_teaching_plus:CoTeachingPlus"
JOCOR = "methods.selection.co_regularization:CoRegularization"
SMALL_LOSS = "methods.selection.small_loss:SmallLoss"

ARMS: dict[str, dict[str, Any]] = {
    "coteaching": {
        "about": "co-teaching (Han et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": CO_TEACHING}],
        "default": {"rate": 0.2},
        "space": RATE,
    },
    "small_loss": {
        "about": "only the examples of smallest loss: co-teaching's control (Han et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": SMALL_LOSS}],
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
        "phases": [{"method": CO_TEACHING_PLUS}],
        "default": {"rate": 0.2},
        "space": RATE,
    },
    "coteaching_oracle": oracle("co-teaching (Han et al. 2018)", CO_TEACHING),
    "coteaching_plus_oracle": oracle("co-teaching+ (Yu et al. 2019)", CO_TEACHING_PLUS),
    "small_loss_oracle": oracle("small-loss selection (Han et al. 2018)", SMALL_LOSS),
    # Wei et al. 2020: 0.9 on CIFAR-10, 0.85 on CIFAR-100, 0.65 at 80 % noise; best from 0.5 to 0.9.
    "jocor": {
        "about": "JoCoR: two networks that agree (Wei et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": JOCOR}],
        "default": {"lam": 0.9, "rate": 0.2},
        "space": {"lam": Float(0.05, 0.95)} | RATE,
    },
    "jocor_oracle": oracle("JoCoR (Wei et al. 2020)", JOCOR),
}
