"""Arms: what a study compares. A list of phases, a published default and a search space."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from pipelines.documents import assign, lookup
from pipelines.errors import UserError
from pipelines.kinds import KINDS, is_oracle
from pipelines.study.method_loading import parameters_of
from pipelines.study.phase_rules import check_phase, check_sequence, reads_truth
from pipelines.study.phases import Phase
from pipelines.study.search_space import Range, Value, bounds, describe_distribution, widened
from pipelines.study.validation import Strict, did_you_mean, one_of, preview

ENTRIES = "search_spaces.arms:ARMS"
DERIVED = "search_spaces.arms.derived:DERIVED"
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
FACTORS = (0.25, 0.5, 2.0, 4.0)  # by which a sensitivity study moves a knob
Derive = Callable[[dict[str, Any]], dict[str, Any] | None]
DOUBLED = "_doubled"  # behind a tuned arm's name: the same arm in a search space twice as wide


class Arm(Strict):
    """One thing that is compared.

    `default` and `space` address values by name: a hyperparameter of the method ("q"), a phase's
    field ("meta_repeat", "meta.lr", "schedule.lr"), or either one in a single phase
    ("finetune.schedule.lr").
    """

    about: str
    kind: Annotated[str, one_of(KINDS)]
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

    def extreme_configs(self) -> list[dict[str, Value]]:
        """The default, and each dimension at its ends, or at its choices.

        What lies between is allowed where these are.
        """
        ends = [
            {address: value}
            for address, distribution in self.space.items()
            for value in bounds(distribution)
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
        try:
            value = lookup(place, ".".join(path))
        except KeyError:
            value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"knob {address!r}: {value!r} is not a number")
        return value

    def moved_configs(self, schedule: dict[str, Value]) -> list[dict[str, Value]]:
        """One knob of the default times one factor, knob by knob; whole numbers stay above 0.

        Raises:
            UserError: a knob is not a number.
        """
        configs: list[dict[str, Value]] = []
        for knob in self.knobs:
            value = self.value(knob, schedule)
            for factor in FACTORS:
                number = value * factor
                configs.append({knob: max(1, round(number)) if isinstance(value, int) else number})
        return configs

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
            check_phase(phase)
        check_sequence(resolved)
        self._check_kind(resolved)
        return resolved

    def _check_kind(self, phases: list[Phase]) -> None:
        """Oracles must be told apart wherever arms are compared, and nothing else may pass for one.

        Raises:
            UserError: the kind does not say what the methods read.
        """
        oracles = [phase.method for phase in phases if reads_truth(phase)]
        if oracles and not is_oracle(self.kind):
            raise UserError(
                f"kind = {self.kind!r}: {oracles[0]} reads the true labels of training examples; "
                "an arm with it has kind: oracle"
            )
        if is_oracle(self.kind) and not oracles:
            raise UserError(
                f"kind = {self.kind!r}: none of its methods reads the true labels of training "
                "examples"
            )


def _assign(phases: list[dict[str, Any]], address: str, value: Value) -> None:
    head, *rest = address.split(".")
    named = [phase for phase in phases if rest and phase["name"] == head]
    path = rest if named else [head, *rest]
    for phase in named or phases:
        target: dict[str, Any] = (
            phase if path[0] in Phase.model_fields else phase["hyperparameters"]
        )
        try:
            assign(target, ".".join(path), value)
        except KeyError as missing:
            part = missing.args[0]
            raise UserError(f"address {address!r}: {part!r} is not a group of values") from None


def known_arms() -> dict[str, dict[str, Any]]:
    """The entries of search_spaces/arms."""
    return pkgutil.resolve_name(ENTRIES)


def derived_arms() -> dict[str, Derive]:
    """What makes an entry of another one, by the suffix of its name."""
    return pkgutil.resolve_name(DERIVED)


def resolve_arm(name: str, own: dict[str, dict[str, Any]]) -> Arm:
    """The arm of that name, of the study's own ones or of search_spaces/arms; validated.

    NAME_doubled is the tuned arm NAME in a search space twice as wide; search_spaces/arms/derived
    has more that need no entry.

    Raises:
        UserError: no such arm, or its entry is wrong.
    """
    entries = known_arms() | own
    base = name.removesuffix(DOUBLED)
    if base != name and name not in entries and _entry(base, own):
        return _in_doubled_space(base, resolve_arm(base, own))
    entry = _entry(name, own)
    if entry is None:
        every = [*entries, *(base + suffix for base in entries for suffix in derived_arms())]
        raise UserError(
            f"arm {preview(name)} is unknown; there are {', '.join(entries)}; behind the name of a "
            f"loss, {' or '.join(derived_arms())}; behind a tuned arm's, {DOUBLED}"
            f"{did_you_mean(name, every)}"
        )
    if name in own and _entry(name, {}):
        raise UserError(f"arm {name!r}: search_spaces/arms has one of this name: give another")
    if not NAME.fullmatch(name):
        raise UserError(
            f"arm {preview(name)}: a name has lower-case letters of ASCII, digits and "
            "underscores, 64 at most"
        )
    try:
        arm = Arm.model_validate(entry)
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


def _entry(name: str, own: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The entry of that name, or the one that is derived for it."""
    entries = known_arms() | own
    if name in entries:
        return entries[name]
    for suffix, derive in derived_arms().items():
        base = name.removesuffix(suffix)
        if base != name and base in entries:
            resolve_arm(base, own)  # its own mistakes come first
            return derive(entries[base])
    return None


def _in_doubled_space(name: str, arm: Arm) -> Arm:
    """An end that the arm refuses (a q above 1) stays where it was."""
    if not arm.tuned:
        raise UserError(f"arm {name + DOUBLED!r}: {name} is not tuned, it has no space to double")
    space = {}
    for address, distribution in arm.space.items():
        plain, ends = describe_distribution(distribution), widened(distribution)
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
