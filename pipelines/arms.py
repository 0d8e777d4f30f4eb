"""Arms: what a study compares. A list of phases, a published default and a search space."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from methods.objective import Objective
from pipelines.distributions import Range, describe_distribution, doubled, ends_of
from pipelines.errors import UserError
from pipelines.hypergradient import Engine

ENTRIES = "search_spaces.arms:ARMS"
DOUBLED = "_doubled"  # behind a tuned arm's name: the same arm in a search space twice as wide
Value = bool | int | float | str


class Strict(BaseModel):
    """Unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class Meta(Strict):
    """How a phase meta-learns: the engine of the hypergradient and the optimizer of the
    meta-parameters."""

    engine: Engine = "forward"
    lookahead: Literal["rollback", "alternating"] = "rollback"
    graph: Literal["recompute", "retain"] = Field(
        default="recompute",
        description="the training forward, for look-ahead and step: twice, or kept in memory",
    )
    last_layers: int | None = Field(
        default=None, ge=1, description="the look-ahead moves only the model's last k layers"
    )
    every: int = Field(default=1, ge=1, description="meta step at every k-th training step")
    batch_size: int = Field(default=100, ge=1)
    optimizer: Literal["adam", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class Phase(Strict):
    """One stretch of training: a method on a pool of examples."""

    name: str = Field(default="train", pattern=r"^[a-z][a-z0-9_]*$")
    method: str = Field(description="module:class of an Objective")
    hyperparameters: dict[str, Value] = {}
    pool: Literal["train", "train+meta", "meta", "meta+val"] = "train"
    meta_repeat: int = Field(
        default=1, ge=1, description="how often train+meta repeats the meta split"
    )
    epochs: float = Field(
        default=1.0, gt=0, description="length, as a fraction of the schedule's epochs"
    )
    start: Literal["fresh", "continue"] = "continue"
    schedule: dict[str, Any] = Field(
        {}, description="entries of the protocol's schedule, overridden"
    )
    meta: Meta = Meta()

    @model_validator(mode="after")
    def _epochs_are_a_fraction(self) -> Phase:
        if "epochs" in self.schedule:
            raise ValueError(
                "schedule.epochs belongs to the protocol; a phase has `epochs`, a fraction of it"
            )
        return self


class Arm(Strict):
    """One thing that is compared.

    `default` and `space` address values by name: a hyperparameter of the method ("q"), a phase's
    field ("meta_repeat", "meta.lr", "schedule.lr"), or either one in a single phase
    ("finetune.schedule.lr").
    """

    about: str
    kind: Literal["plain", "tuned loss", "control", "meta-learned weights", "meta-learned loss"]
    phases: list[Phase] = Field(min_length=1)
    default: dict[str, Value] = Field(
        default={}, description="the published values: trial 0 of the arm"
    )
    knobs: list[str] = Field(
        default=["schedule.lr", "schedule.weight_decay"],
        description="what a sensitivity study moves",
    )
    space: dict[str, Range] = Field(default={}, description="what is tuned, and within which range")

    @model_validator(mode="after")
    def _defaults_cover_the_space(self) -> Arm:
        if missing := set(self.space) - set(self.default):
            raise ValueError(f"no default for {', '.join(sorted(missing))}")
        given = {name for phase in self.phases for name in phase.hyperparameters}
        if twice := given & set(self.default):
            raise ValueError(f"{min(twice)} is given twice: among hyperparameters and in default")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases need different names, found {', '.join(names)}")
        return self

    @property
    def tuned(self) -> bool:
        """Whether there is anything to search."""
        return bool(self.space)

    def outermost(self) -> list[dict[str, Value]]:
        """The default, and each dimension at its ends, or at its choices: what lies between is
        allowed where these are."""
        ends = [
            {address: value}
            for address, distribution in self.space.items()
            for value in ends_of(distribution)
        ]
        return [{}, *ends]

    def value(self, address: str, schedule: dict[str, Value]) -> float:
        """The default at an address; `schedule` holds what phases do not override.

        Raises:
            UserError: there is no number.
        """
        phases = {phase.name: phase for phase in self.resolve({})}
        head, *rest = address.split(".")
        phase, path = (
            (phases[head], rest) if head in phases else (self.resolve({})[0], [head, *rest])
        )
        place = phase.model_dump() | {"schedule": schedule | phase.schedule}
        place |= {n: p.default for n, p in parameters_of(phase.method).items()}
        place |= phase.hyperparameters
        found: Any = place
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise UserError(f"knob {address!r}: {found!r} is not a number")
        return found

    def resolve(self, config: dict[str, Value]) -> list[Phase]:
        """The phases with a configuration's values in their places.

        Raises:
            UserError: an address or a value does not fit.
        """
        phases = [phase.model_dump() for phase in self.phases]
        for address, value in (self.default | config).items():
            _assign(phases, address, value)
        try:
            resolved = [Phase.model_validate(phase) for phase in phases]
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"{'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}"
            ) from None
        for phase in resolved:
            _check(phase)
        return resolved


def _check(phase: Phase) -> None:
    method = build_method(phase.method, phase.hyperparameters)
    for field, only in (("every", 1), ("lookahead", "rollback")):
        value = getattr(phase.meta, field)
        if method.per_batch and value != only:
            raise UserError(
                f"meta.{field} = {value!r}: {phase.method} has fresh weights at every step, "
                f"it allows {only!r} only"
            )
    if phase.meta.lookahead == "alternating" and list(method.train_parameters()):
        raise UserError(
            f"meta.lookahead = 'alternating': {phase.method} trains parameters of its own, which "
            "have moved when the meta step comes; use rollback"
        )
    _check_meta(phase.meta, method.per_batch)


def _check_meta(meta: Meta, per_batch: bool) -> None:
    """Ways to meta-learn that exclude each other."""
    own = meta.engine == "double_backward"
    if own and (meta.lookahead == "alternating" or meta.graph == "retain"):
        raise UserError(
            "meta.engine = 'double_backward' takes its own look-ahead; "
            "use lookahead: rollback, graph: recompute"
        )
    if meta.lookahead == "alternating" and (meta.graph == "retain" or meta.last_layers):
        raise UserError(
            "meta.lookahead = 'alternating' takes the look-ahead in the real step, with one graph "
            "and all layers; use graph: recompute, and no last_layers"
        )
    if per_batch and meta.graph == "retain" and meta.engine != "one_sided_difference":
        raise UserError(
            "meta.graph = 'retain': without a look-ahead only one_sided_difference gains by it"
        )


def _assign(phases: list[dict[str, Any]], address: str, value: Value) -> None:
    head, *rest = address.split(".")
    named = [phase for phase in phases if rest and phase["name"] == head]
    path = rest if named else [head, *rest]
    for phase in named or phases:
        target: dict[str, Any] = (
            phase if path[0] in Phase.model_fields else phase["hyperparameters"]
        )
        for part in path[:-1]:
            if not isinstance(target.get(part), dict):
                raise UserError(f"address {address!r}: {part!r} is not a group of values")
            target = target[part]
        target[path[-1]] = value


@cache
def method_class(path: str) -> type[Objective]:
    """The class at `module:class`.

    Raises:
        UserError: there is none, or it is not an Objective.
    """
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"method {path!r}: {error}; expected module:class") from None
    if not (inspect.isclass(found) and issubclass(found, Objective)):
        raise UserError(f"method {path!r} is not a subclass of methods.objective.Objective")
    return found


@cache
def parameters_of(path: str) -> dict[str, inspect.Parameter]:
    """The hyperparameters of the class at `module:class`: its constructor's named parameters."""
    parameters = inspect.signature(method_class(path)).parameters
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


def known_arms() -> dict[str, dict[str, Any]]:
    """The entries of search_spaces/arms.py."""
    return pkgutil.resolve_name(ENTRIES)


def resolve_arm(name: str, own: dict[str, dict[str, Any]]) -> Arm:
    """The arm of that name, of the study's own ones or of search_spaces/arms.py; validated.

    NAME_doubled is the tuned arm NAME in a search space twice as wide.

    Raises:
        UserError: no such arm, or its entry is wrong.
    """
    entries = known_arms() | own
    base = name.removesuffix(DOUBLED)
    if name not in entries and base in entries:
        return _in_doubled_space(base, resolve_arm(base, own))
    if name not in entries:
        raise UserError(f"arm {name!r} is unknown; there are {', '.join(entries)}")
    if name in known_arms() and name in own:
        raise UserError(f"arm {name!r}: search_spaces/arms.py has one of this name: give another")
    if not name.replace("_", "a").isalnum() or not name.islower():
        raise UserError(f"arm {name!r}: a name has lower-case letters, digits and underscores")
    try:
        arm = Arm.model_validate(entries[name])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        where = "".join(f"{part}." for part in first["loc"])[:-1]
        raise UserError(": ".join(filter(None, [f"arm {name!r}", where, message]))) from None
    try:
        arm.resolve({})
    except UserError as error:
        raise UserError(f"arm {name!r}: {error}") from None
    return arm


def _in_doubled_space(name: str, arm: Arm) -> Arm:
    """An end that the arm refuses (a q above 1) stays where it was."""
    if not arm.tuned:
        raise UserError(f"arm {name + DOUBLED!r}: {name} is not tuned, it has no space to double")
    space = {}
    for address, distribution in arm.space.items():
        plain, ends = describe_distribution(distribution), doubled(distribution)
        for end, value in zip(("low", "high"), ends or (), strict=False):
            plain[end] = value if _allows(arm, address, value) else plain[end]
        space[address] = plain
    about = f"{arm.about}, in a search space twice as wide"
    return Arm.model_validate(arm.model_dump() | {"about": about, "space": space})


def _allows(arm: Arm, address: str, value: Value) -> bool:
    try:
        arm.resolve({address: value})
    except UserError:
        return False
    return True
