"""Common knobs: entries of the schedule that are chosen for every arm by one rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution

from pipelines.study.arms import Arm
from pipelines.study.method_loading import is_fitted
from pipelines.study.phase_rules import selects
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol, Schedule
from pipelines.study.search_space import Value

Space = Mapping[str, BaseDistribution]
PREFIX = "schedule."
LENGTHS = ("epochs", "steps")  # of the protocol alone


def check_addresses(space: Space) -> Space:
    """Common knobs are entries of the schedule that a phase may have, too.

    Raises:
        ValueError: one is not.
    """
    entries = [name for name in Schedule.model_fields if name not in LENGTHS]
    for address in space:
        if address.removeprefix(PREFIX) not in entries or not address.startswith(PREFIX):
            raise ValueError(
                f"{address!r} is not common to all arms: {', '.join(PREFIX + e for e in entries)}"
            )
    return space


def common_space(arm: Arm, space: Space, protocol: Protocol) -> dict[str, BaseDistribution]:
    """Those common knobs that mean something to an arm.

    Not those of which all its phases have values of their own. None at all where val cannot choose
    them, since it is trained on or is not there, nor of a model that is fitted at once.
    """
    phases = arm.resolve({})
    if any(is_fitted(phase.method) for phase in phases) or not selects(phases, protocol):
        return {}
    return {
        address: distribution
        for address, distribution in space.items()
        if any(address.removeprefix(PREFIX) not in phase.schedule for phase in phases)
    }


def with_common(
    phases: Sequence[Phase], values: Mapping[str, Value], protocol: Protocol
) -> list[Phase]:
    """Phases under common values. What a phase has of its own stays.

    As does what the protocol says anyway: such a trial is the one without the value.
    """
    own = protocol.schedule.model_dump()
    entries = {address.removeprefix(PREFIX): value for address, value in values.items()}
    changed = {name: value for name, value in entries.items() if own[name] != value}
    return [
        phase.model_copy(update={"schedule": changed | phase.schedule}) if changed else phase
        for phase in phases
    ]
