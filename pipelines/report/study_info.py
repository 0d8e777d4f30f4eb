"""What statistics need to know of a study, from its file and its plan."""

from __future__ import annotations

from typing import Any, TypedDict

from pipelines.analysis.record import CommonSpace, Range, StudyInfo
from pipelines.metrics import shown_beside
from pipelines.planning.assignments import Search
from pipelines.planning.planner import Planner
from pipelines.study.arms import Arm
from pipelines.study.search_space import describe_distribution
from pipelines.study.study_file import Study
from pipelines.study.warm_start import first_configs


class _Stopping(TypedDict, total=False):
    stopping: str


class _WarmStart(TypedDict, total=False):
    warm_start: int


class _Common(TypedDict, total=False):
    common: CommonSpace


class _SecondAim(TypedDict, total=False):
    second_aim: str


def study_info(study: Study, planner: Planner) -> StudyInfo:
    """What statistics need to know of a study."""
    protocol = study.protocol
    return {
        "metric": protocol.metric,
        "epoch": protocol.epoch,
        "search": protocol.search,
        **_second_aim(protocol.second_aim),
        "margin": study.request.margin,
        "beside": shown_beside(protocol.metric, protocol.attack is not None),
        "runs": {"done": planner.done.total(), "planned": planner.planned.total()},
        "arms": {
            name: {
                "kind": arm.kind,
                "about": arm.about,
                "tuned": arm.tuned,
                "space": {n: describe_distribution(d) for n, d in arm.space.items()},
                "default": _default(study, name, arm),
                "planned": planner.planned_in["", name],
                **_stopping(planner, name),
                **_warm_start(study, name, arm),
            }
            for name, arm in planner.arms.items()
        },
        **_common(study),
    }


def _common(study: Study) -> _Common:
    request = study.request
    space: dict[str, Range] = {
        address: describe_distribution(d) for address, d in request.common.items()
    }
    if not space:
        return {}
    return {"common": {"space": space, "trials": request.common_trials}}


def _second_aim(aim: str | None) -> _SecondAim:
    return {"second_aim": aim} if aim else {}


def _stopping(planner: Planner, arm: str) -> _Stopping:
    bracket = planner.brackets.get(Search("", arm, 0))
    return {"stopping": bracket.rule.name} if bracket else {}


def _warm_start(study: Study, name: str, arm: Arm) -> _WarmStart:
    given = first_configs(study.request.warm_start, name, arm, study.request.trials)
    return {"warm_start": len(given)} if given else {}


def _default(study: Study, name: str, arm: Arm) -> dict[str, Any]:
    """An arm's default configuration, and its knobs' values where these are moved."""
    moved = arm.knobs if name in study.request.sensitivity else []
    schedule = study.protocol.schedule.model_dump()
    values = {knob: arm.value(knob, schedule) for knob in moved}
    return {n: arm.default[n] for n in arm.space} | values
