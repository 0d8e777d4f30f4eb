"""The public face: studies, results, trained models, and the seam for methods of one's own.

    import untuned

    results = untuned.launch("digits", storage="runs/digits")
    results.trials()  # a pandas frame; docs/api.md has the rest

Names are imported when they are first used, so that `import untuned` itself takes no time. Nothing
in `methods`, `search_spaces` or `pipelines` imports this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; tests/untuned compares it with _HOMES
    from methods.objective import (
        Batch,
        Objective,
        Outputs,
        PhaseInfo,
        cross_entropy,
        expectation,
        generator,
        rectified,
    )
    from methods.scalar_loss import Bounded, ScalarLoss
    from pipelines.analysis.record import Record
    from pipelines.errors import Interrupted, UserError
    from pipelines.models.classifier import Classifier
    from pipelines.prediction.predictor import Predictor
    from pipelines.study.study_file import Study
    from untuned.own_loop import hypergradient, make_batch
    from untuned.studies import StudyResults, launch, load_study, open_study
    from untuned.trained import load_model, load_objective

    __version__: str

#: Where each public name comes from.
_HOMES = {
    "methods.objective": (
        "Batch",
        "Objective",
        "Outputs",
        "PhaseInfo",
        "cross_entropy",
        "expectation",
        "generator",
        "rectified",
    ),
    "methods.scalar_loss": ("Bounded", "ScalarLoss"),
    "pipelines.analysis.record": ("Record",),
    "pipelines.errors": ("Interrupted", "UserError"),
    "pipelines.models.classifier": ("Classifier",),
    "pipelines.prediction.predictor": ("Predictor",),
    "pipelines.study.study_file": ("Study",),
    "untuned.own_loop": ("hypergradient", "make_batch"),
    "untuned.studies": ("StudyResults", "launch", "load_study", "open_study"),
    "untuned.trained": ("load_model", "load_objective"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, imported now and kept."""
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("untuned")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'untuned' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
