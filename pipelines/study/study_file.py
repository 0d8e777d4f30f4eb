"""The study file: what is compared, on what, and how much of it.

A study is one YAML file with two parts. The *protocol* (data, corruption, splits, model, schedule,
metric, kind of search) is hashed into every trial's key and fixed for a study directory; the
*request* (arms, trials, repeats, seeds) may grow or shrink at any launch. Unknown keys are refused;
docs/study.md is the reference.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.study.arms import Arm, resolve_arm
from pipelines.study.common_knobs import with_common
from pipelines.study.labels_files import LabelsFile
from pipelines.study.own_folders import without_variable
from pipelines.study.phase_rules import check_under, selects
from pipelines.study.protocol import Protocol, with_changes
from pipelines.study.request import Request
from pipelines.study.search_space import bounds
from pipelines.study.searches import DRAWN_BEFOREHAND
from pipelines.study.validation import Strict, describe, preview
from pipelines.study.warm_start import check_warm_start
from pipelines.study.yaml_file import parse_yaml

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"  # of a study
STUDIES = Path(__file__).parents[2] / "search_spaces" / "studies"


class Study(Strict):
    """A validated study file.

    A scenario is a change of the protocol along one axis, {address: value}; the study itself is {}.
    """

    name: str = Field(pattern=f"^{NAME}$")
    about: str = ""
    protocol: Protocol
    request: Request
    own_arms: dict[str, dict[str, Any]] = Field(
        {}, alias="arms", description="arms of this study's own"
    )

    def arm(self, name: str) -> Arm:
        """The arm of that name: the study's own, or one of search_spaces/arms."""
        return resolve_arm(name, self.own_arms)

    @property
    def scenarios(self) -> dict[str, dict[str, Any]]:
        """The changes of the protocol, by name; the study's own protocol, "", comes first."""
        changes: dict[str, dict[str, Any]] = {"": {}}
        for address, values in self.request.axes.items():
            for value in values:
                change = {address: value}
                if with_changes(self.protocol, change) != self.protocol:
                    changes[f"{address}={value}"] = change
        return changes

    @property
    def protocols(self) -> dict[str, Protocol]:
        """The protocol of each scenario."""
        return {n: with_changes(self.protocol, change) for n, change in self.scenarios.items()}

    @property
    def arms(self) -> dict[str, Arm]:
        """The requested arms, in order."""
        return {name: self.arm(name) for name in self.request.arms}


def studies() -> dict[str, Path]:
    """The ready studies, by name; those of papers after the others."""
    files = (
        path for folder in ("", "papers") for path in sorted((STUDIES / folder).glob("*.yaml"))
    )
    return {path.stem: path for path in files}


def load_study(name: str, request: dict[str, Any] | None = None) -> Study:
    """Read a study by name or path; `request` overrides entries of its request.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is not allowed.
    """
    path, raw = read_study_file(name)
    if name not in studies():
        own_modules.search([path.resolve().parent])  # modules of the study's own lie beside it
    if request and isinstance(raw.get("request"), dict):
        raw["request"] = raw["request"] | request
    study = parse_study(raw, str(path))
    return with_absolute_paths(study, path.resolve().parent)


def read_study_file(name: str) -> tuple[Path, dict[str, Any]]:
    """The file of a study that is given by name or path, and what is in it; not yet validated.

    Raises:
        UserError: the file is missing or not YAML, or its name is none.
    """
    path = studies().get(name, Path(name))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"study {name!r}: neither a file nor one of the ready studies: {', '.join(studies())}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"study {name!r} cannot be read: {one_line(error)}") from None
    raw = parse_yaml(text, f"study {name!r}")
    raw.setdefault("name", path.stem)
    if not (isinstance(raw["name"], str) and re.fullmatch(NAME, raw["name"])):
        raise UserError(
            f"{path}: name = {preview(raw['name'])}: must begin with a letter or digit, and have "
            "at most 64 letters, digits, '_', '-' and '.'"
        )
    return path, raw


def parse_study(raw: dict[str, Any], origin: str) -> Study:
    """Validate a study given as plain values: all that could stop it later is told here.

    Raises:
        UserError: something is not allowed; `origin` names the file.
    """
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{origin}: {describe(error, Study)}") from None
    try:
        _check_arms(study)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    return study


def _check_arms(study: Study) -> None:
    """Every arm that is asked for must exist, and fit every scenario's protocol.

    Raises:
        UserError: one does not.
    """
    if strangers := set(study.request.sensitivity) - set(study.request.arms):
        raise UserError(f"request.sensitivity: {strangers.pop()!r} is not among the arms")
    _check_stopping(study)
    check_warm_start(study.request.warm_start, study.arms)
    # Every value on an axis must be allowed, whichever arm meets it.
    for name, protocol in product(study.request.arms, study.protocols.values()):
        if study.arm(name).tuned and not protocol.splits.val:
            raise UserError(
                f"arm {name!r} is tuned: splits.val = 0 has no examples to select a configuration "
                "by; give it a val split, or an arm of the study's own without `space`"
            )
        for config in study.arm(name).extreme_configs():
            try:
                for phase in study.arm(name).resolve(config):
                    check_under(phase, protocol)
            except UserError as error:
                tried = "".join(f" at {key} = {value!r}" for key, value in config.items())
                raise UserError(f"arm {name!r}{tried}: {error}") from None
    _check_common(study)
    schedule = study.protocol.schedule.model_dump()
    for name in study.request.sensitivity:
        try:
            for config in study.arm(name).moved_configs(schedule):
                study.arm(name).resolve(config)
        except UserError as error:
            raise UserError(f"request.sensitivity: arm {name!r}: {error}") from None


def _check_common(study: Study) -> None:
    """Common knobs need a val to be chosen by, and every arm must allow their ranges.

    Raises:
        UserError: something is not so.
    """
    request = study.request
    if not request.common:
        return
    if request.sensitivity:
        raise UserError(
            "request.sensitivity: it moves knobs about the study's values, and request.common "
            "chooses others for every arm; ask for one of them"
        )
    for name, protocol in product(request.arms, study.protocols.values()):
        if not protocol.splits.val:
            raise UserError("request.common: splits.val = 0 has no examples to choose by")
        for address, distribution in request.common.items():
            for value in bounds(distribution):
                phases = with_common(study.arm(name).resolve({}), {address: value}, protocol)
                try:
                    for phase in phases:
                        check_under(phase, protocol)
                except UserError as error:
                    raise UserError(f"request.common: arm {name!r}: {error}") from None


def _check_stopping(study: Study) -> None:
    """Trials are stopped early only where they are compared on val, and drawn beforehand.

    Raises:
        UserError: they are not.
    """
    if strangers := set(study.request.stopping_of) - set(study.request.arms):
        raise UserError(f"request.stopping_of: {strangers.pop()!r} is not among the arms")
    for name, arm in study.arms.items():
        rule, search = study.request.stopping_for(name).rule, study.protocol.search
        if rule == "none" or not arm.tuned:
            continue
        if search not in DRAWN_BEFOREHAND:
            raise UserError(
                f"request.stopping = {rule!r}: a search by {search!r} learns from trials that have "
                f"ended; trials are stopped in searches by {', '.join(DRAWN_BEFOREHAND)}"
            )
        if study.protocol.second_aim:
            raise UserError(
                f"request.stopping = {rule!r}: trials are stopped by val alone, and second_aim = "
                f"{study.protocol.second_aim!r} compares them by two aims; give one of them"
            )
        if not selects(arm.resolve({}), study.protocol):
            raise UserError(f"request.stopping = {rule!r}: arm {name!r} trains on val")
        if any(p.schedule.steps is not None for p in study.protocols.values()):
            raise UserError(
                f"request.stopping = {rule!r}: rungs are epochs; give schedule.epochs, not steps"
            )


def with_absolute_paths(study: Study, base: Path) -> Study:
    """Paths in a study are relative to its file's folder, or to where it is written down.

    Raises:
        UserError: one begins with an environment variable that is not set.
    """
    data = study.protocol.data

    def place(path: Path | None) -> Path | None:
        try:
            return path and (base / without_variable(path).expanduser()).resolve()
        except (OSError, ValueError, RuntimeError):  # NUL, a circle of links, the home of nobody
            return path and base / path  # where nothing is, as is told by who looks there

    def file(labels: LabelsFile | None) -> LabelsFile | None:
        return labels and labels.model_copy(update={"file": place(labels.file)})

    moved = data.model_copy(
        update={
            "path": place(data.path),
            "labels": file(data.labels),
            "trusted": file(data.trusted),
            "corrections": file(data.corrections),
        }
    )
    protocol = study.protocol.model_copy(update={"data": moved})
    warm_start = study.request.warm_start
    sources = [s if "://" in s else str(place(Path(s))) for s in warm_start.sources]
    warm_start = warm_start.model_copy(update={"sources": sources})
    request = study.request.model_copy(update={"warm_start": warm_start})
    return study.model_copy(update={"protocol": protocol, "request": request})
