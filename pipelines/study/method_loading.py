"""From a dotted path and hyperparameters to a method."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from pathlib import Path

import torch

import methods
from methods.fitted import Fitted
from methods.objective import Objective, PhaseInfo
from pipelines import own_modules
from pipelines.errors import UserError
from pipelines.study.search_space import Value


def importable(path: str) -> str:
    """The path at which `methods.MODULE:CLASS` is found: in which family it lives is looked up.

    Any other path is given back as it is.
    """
    package, _, rest = path.partition(".")
    module = rest.partition(":")[0]
    if package != "methods" or "." in module:
        return path
    for family in pkgutil.iter_modules(methods.__path__):
        folder = Path(methods.__path__[0]) / family.name
        if family.ispkg and (folder / f"{module}.py").exists():
            return f"methods.{family.name}.{rest}"
    return path


def without_family(path: str) -> str:
    """The name of a method that stays when it moves to another family."""
    parts = path.partition(":")[0].split(".")
    if parts[0] != "methods" or len(parts) != 3:
        return path
    return f"methods.{path.split('.', 2)[2]}"


def method_class(path: str) -> type[Objective]:
    """The class at `module:class`.

    Raises:
        UserError: there is none, or it is not an Objective.
    """
    named = own_modules.load(path, "method")
    if not (inspect.isclass(named) and issubclass(named, Objective)):
        raise UserError(f"method {path!r} is not a subclass of methods.objective.Objective")
    return named


def is_fitted(path: str) -> bool:
    """Whether the method brings a model of its own, fitted at once, in place of the network."""
    return issubclass(method_class(path), Fitted)


def parameters_of(path: str) -> dict[str, inspect.Parameter]:
    """The hyperparameters of the class at `module:class`: its constructor's named parameters."""
    return _parameters(method_class(path))


@cache
def _parameters(method: type[Objective]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(method).parameters
    return {n: p for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}


def build_method(path: str, given: dict[str, Value]) -> Objective:
    """The method of that class; its constructor's signature is the schema of its hyperparameters.

    Raises:
        UserError: a hyperparameter is unknown, missing or out of range.
    """
    parameters = parameters_of(path)
    required = {n for n, p in parameters.items() if p.default is p.empty}
    for name in [*given, *required]:
        if name not in parameters or (name not in given and name in required):
            problem = "missing" if name in parameters else "unknown"
            takes = ", ".join(parameters) or "none"
            raise UserError(f"{path}: {problem} hyperparameter {name!r}; it takes {takes}")
    try:
        return method_class(path)(**given)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: its constructor fails: {reason}") from error


def bound_method(path: str, given: dict[str, Value]) -> Objective:
    """The same, bound to two examples of two classes: with the parameters that it learns.

    Raises:
        UserError: as `build_method`.
    """
    method = build_method(path, given)
    labels = torch.arange(2)
    info = PhaseInfo(rows=2, classes=2, labels=labels, counts=labels.bincount(), features=1)
    try:
        method.bind(info)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: its bind fails on two examples: {reason}") from error
    return method
