"""The study file: what is compared, on what, and how much of it.

A study is one YAML file with two parts. The *protocol* (data, corruption, splits, model, schedule,
metric, kind of search) is hashed into every trial's key and fixed for a study directory; the
*request* (arms, trials, repeats, seeds) may grow or shrink at any launch. Unknown keys are refused;
docs/study.md is the reference.
"""

from __future__ import annotations

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.arms import Arm, Phase, resolve_arm
from pipelines.errors import UserError

STUDIES = Path(__file__).parent.parent / "search_spaces" / "studies"


class Strict(BaseModel):
    """Unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LabelsFile(Strict):
    """A CSV file that overrides the observed labels: one row per example."""

    file: Path
    path: str = Field(
        "path", description="column that names the example: its path, or its row number"
    )
    label: str = Field(
        "label", description="column that holds the observed label: a class name or number"
    )


class Data(Strict):
    """Where examples and labels come from."""

    source: str = Field(
        default="digits", description="a built-in source, or package.module:function"
    )
    path: Path | None = Field(
        default=None, description="folder or file of the source; downloads go here"
    )
    labels: LabelsFile | None = None
    trusted: LabelsFile | None = Field(
        default=None,
        description="examples whose label was verified: meta, val and test come from these only",
    )
    target: str = Field(default="label", description="label column of a table")
    size: int | None = Field(
        default=None, ge=1, description="side in pixels that folder images are resized to"
    )


class Noise(Strict):
    """Label noise on the training split (and on val, where it asks for corrupted labels)."""

    kind: Literal["none", "uniform", "symmetric", "asymmetric", "flip", "flip2"] = "none"
    rate: float = Field(default=0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _rate_needs_a_kind(self) -> Noise:
        if self.kind == "none" and self.rate:
            raise ValueError(f"rate = {self.rate} without a kind of noise")
        return self


class Imbalance(Strict):
    """Class imbalance of the training split: the largest class has about `factor` times the
    smallest."""

    kind: Literal["none", "exponential", "step"] = "none"
    factor: float = Field(default=1.0, ge=1.0)

    @model_validator(mode="after")
    def _factor_needs_a_kind(self) -> Imbalance:
        if self.kind == "none" and self.factor != 1:
            raise ValueError(f"factor = {self.factor} without a kind of imbalance")
        return self


class Splits(Strict):
    """Numbers of examples; what is left is the training split."""

    meta: int = Field(default=100, ge=1)
    val: int = Field(default=100, ge=1)
    test: int | None = Field(default=None, ge=1, description="none: the source's own test set")
    val_labels: Literal["clean", "corrupted"] = "clean"


class Model(Strict):
    """A network by name, or package.module:factory, with its options."""

    name: str = "mlp"
    options: dict[str, Any] = {}


class Schedule(Strict):
    """SGD with momentum; every arm shares it unless its search space says otherwise."""

    epochs: int = Field(default=60, ge=1)
    batch_size: int = Field(default=100, ge=1)
    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0)
    warmup_epochs: float = Field(default=0, ge=0)
    decay: Literal["constant", "cosine", "steps"] = "cosine"
    milestones: list[float] = Field(
        default=[0.5, 0.75], description="of `steps`, as fractions of a phase"
    )
    factor: float = Field(
        default=0.1, gt=0, le=1, description="of `steps`: lr is multiplied by this"
    )
    clip: float | None = Field(default=None, gt=0, description="largest gradient norm")

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0")
        if any(not 0 < m < 1 for m in self.milestones) or self.milestones != sorted(
            self.milestones
        ):
            raise ValueError(f"milestones {self.milestones} must rise and lie between 0 and 1")
        return self


class Protocol(Strict):
    """Everything that makes two trials comparable. Hashed into every key."""

    data: Data = Data()
    noise: Noise = Noise()
    imbalance: Imbalance = Imbalance()
    splits: Splits = Splits()
    augment: Literal["none", "crop_flip"] = "none"
    model: Model = Model()
    schedule: Schedule = Schedule()
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1", "nll"] = "accuracy"
    epoch: Literal["last", "selected"] = "last"
    search: Literal["random", "tpe"] = "random"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(default=1, ge=1, le=1024)
    seed: int = Field(default=0, ge=0)


class Request(Strict):
    """How much to run. May change from launch to launch; finished trials are never repeated."""

    arms: list[str] = Field(min_length=1)
    trials: int = Field(
        20, ge=0, description="random (or TPE) trials per tuned arm and repeat, beside its default"
    )
    repeats: int = Field(
        3, ge=1, description="repeats of the whole search, each with its own data seed"
    )
    seeds: int = Field(
        default=2, ge=1, description="fresh run seeds per repeat for the final phase"
    )
    curve: bool = Field(
        True, description="retrain every searched configuration once: budget curves, b*"
    )
    sensitivity: list[str] = Field(
        default=[], description="arms whose knobs are moved by 1/4, 1/2, 2 and 4, one at a time"
    )
    axes: dict[str, list[Any]] = Field(
        default={}, description="protocol entries that are varied, one at a time: scenarios"
    )
    margin: float = Field(
        default=0.01, gt=0, description="of non-inferiority, in units of the metric"
    )

    @field_validator("axes")
    @classmethod
    def _not_empty(cls, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if empty := [address for address, values in axes.items() if not values]:
            raise ValueError(f"no values for {', '.join(empty)}")
        if "splits.test" in axes:
            raise ValueError("splits.test: all of a study is tested on the same examples")
        return axes

    @field_validator("arms")
    @classmethod
    def _distinct(cls, arms: list[str]) -> list[str]:
        twice = sorted({a for a in arms if arms.count(a) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return arms


class Study(Strict):
    """A validated study file.

    A scenario is a change of the protocol along one axis, {address: value}; the study itself is {}.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    about: str = ""
    protocol: Protocol
    request: Request
    own_arms: dict[str, dict[str, Any]] = Field(
        {}, alias="arms", description="arms of this study's own"
    )

    def arm(self, name: str) -> Arm:
        """The arm of that name: the study's own, or one of search_spaces/arms.py."""
        return resolve_arm(name, self.own_arms)

    @property
    def scenarios(self) -> dict[str, dict[str, Any]]:
        """The changes of the protocol, by name; the study's own protocol, "", comes first."""
        found: dict[str, dict[str, Any]] = {"": {}}
        for address, values in self.request.axes.items():
            for value in values:
                change = {address: value}
                if varied(self.protocol, change) != self.protocol:
                    found[f"{address}={value}"] = change
        return found

    @property
    def arms(self) -> dict[str, Arm]:
        """The requested arms, in order."""
        return {name: self.arm(name) for name in self.request.arms}


def varied(protocol: Protocol, change: dict[str, Any]) -> Protocol:
    """A protocol with entries changed, by dotted address: {"noise.rate": 0.2}.

    Raises:
        UserError: there is no such entry, or the value is not allowed.
    """
    values = protocol.model_dump(mode="json")
    for address, value in change.items():
        *groups, name = address.split(".")
        target = values
        for group in groups:
            target = target.get(group)
            if not isinstance(target, dict):
                raise UserError(f"axes: the protocol has no entry {address!r}")
        target[name] = value
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise UserError(f"axes: {describe(error)}") from None


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def protocol_hash(protocol: Protocol, fingerprint: str) -> str:
    """Identity of a protocol: its values and the content (not the place) of its data."""
    values = protocol.model_dump(mode="json")
    for part in (values["data"], values["data"]["labels"], values["data"]["trusted"]):
        if part:
            part.pop("file", None)
    values["data"].pop("path")
    return digest([values, fingerprint])


def studies() -> dict[str, Path]:
    """The ready studies, by name."""
    return {path.stem: path for path in sorted(STUDIES.glob("*.yaml"))}


class _Loader(yaml.SafeLoader):
    """Of two equal keys, YAML would keep the second without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice[0]!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def load_study(name: str, request: dict[str, Any] | None = None) -> Study:
    """Read a study by name or path; `request` overrides entries of its request.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is not allowed.
    """
    path = studies().get(name, Path(name))
    try:
        raw = yaml.load(path.read_text(), _Loader)
    except FileNotFoundError:
        raise UserError(
            f"study {name!r}: neither a file nor one of the ready studies: {', '.join(studies())}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"study {name!r} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"study {name!r}: expected keys and values, found {type(raw).__name__}")
    raw.setdefault("name", path.stem)
    if request and isinstance(raw.get("request"), dict):
        raw["request"] = raw["request"] | request
    study = parse_study(raw, str(path))
    return _absolute(study, path.resolve().parent)


def parse_study(raw: dict[str, Any], origin: str) -> Study:
    """Validate a study given as plain values; every arm it asks for must exist."""
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{origin}: {describe(error)}") from None
    if strangers := set(study.request.sensitivity) - set(study.request.arms):
        raise UserError(f"{origin}: request.sensitivity: {strangers.pop()!r} is not among the arms")
    _ = study.scenarios  # every value on an axis must be allowed
    protocols = [varied(study.protocol, change) for change in study.scenarios.values()]
    for name, protocol in product(study.request.arms, protocols):
        for config in study.arm(name).outermost():
            try:
                for phase in study.arm(name).resolve(config):
                    check_meta(phase, protocol)
            except UserError as error:
                tried = "".join(f" at {key} = {value!r}" for key, value in config.items())
                raise UserError(f"arm {name!r}{tried}: {error}") from None
    return study


def phase_schedule(phase: Phase, protocol: Protocol) -> Schedule:
    """The protocol's schedule, with what the phase changes of it.

    Raises:
        UserError: it changes something to what is not allowed.
    """
    try:
        return Schedule.model_validate(protocol.schedule.model_dump() | phase.schedule)
    except ValidationError as error:
        raise UserError(f"schedule.{describe(error)}") from None


def check_meta(phase: Phase, protocol: Protocol) -> None:
    """Is a phase's way to meta-learn right under that protocol?

    Raises:
        UserError: it is not.
    """
    meta = phase.meta
    if meta.engine.endswith("_difference") and protocol.precision == "bfloat16":
        raise UserError(
            f"meta.engine = {meta.engine!r} needs precision float32: "
            "a difference of bfloat16 outputs is 60-110 % off"
        )
    clip = phase_schedule(phase, protocol).clip
    if meta.lookahead == "alternating" and clip is not None:
        raise UserError(
            f"meta.lookahead = 'alternating' needs a schedule without clip, which is {clip}: "
            "how far a clipped step goes depends on what is learned; use lookahead: rollback"
        )


def describe(error: ValidationError) -> str:
    """One line of a validation error: key, value, what is allowed; the first of several."""
    first, more = error.errors(include_url=False)[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "study"
    value = "" if first["type"] in ("missing", "extra_forbidden") else f" = {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}{value}: {message}" + (f" (and {more} more)" if more else "")


def _absolute(study: Study, base: Path) -> Study:
    """Paths in a study file are relative to the file."""
    data = study.protocol.data

    def place(path: Path | None) -> Path | None:
        return path and (base / path.expanduser()).resolve()

    def file(labels: LabelsFile | None) -> LabelsFile | None:
        return labels and labels.model_copy(update={"file": place(labels.file)})

    moved = data.model_copy(
        update={
            "path": place(data.path),
            "labels": file(data.labels),
            "trusted": file(data.trusted),
        }
    )
    return study.model_copy(update={"protocol": study.protocol.model_copy(update={"data": moved})})
