"""The command `import`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from pipelines.commands.which_study import study_named
from pipelines.errors import UserError
from pipelines.study.arms import Arm
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study
from pipelines.study.warm_start import is_within


def print_configs(
    name: str, source: str, asked: str | None, metric: str | None, lowest: bool, best: int
) -> None:
    """Print the best configurations that another tool has found, for `request.warm_start`.

    name: of the study whose search spaces they must lie in. source: where they are. asked: the arm
    that they are of, where the source does not say. metric, lowest: as of `found_searches`.
    best: how many of each search.

    Raises:
        UserError: there are none.
    """
    from pipelines.tracking.found_trials import found_searches  # loads pandas

    study, _ = study_named(name)
    configs: dict[str, list[dict[str, Value]]] = {}
    outside, trials = 0, 0
    for search in found_searches(Path(source), metric, lowest):
        if asked is not None and search.arm not in (None, asked):
            continue
        arm_name = asked or search.arm
        if arm_name is None:
            raise UserError(f"--from {source!r}: it does not say of which arm it is: give --arm")
        if (arm := _tuned_arm(study, arm_name, told=asked is not None)) is None:
            continue
        ranked = sorted(search.trials, key=lambda trial: trial.score, reverse=True)
        fitting = [own for t in ranked if (own := _own(t.config, arm)) is not None]
        trials, outside = trials + len(ranked), outside + len(ranked) - len(fitting)
        known = configs.setdefault(arm_name, [])
        known += [c for i, c in enumerate(fitting[:best]) if c not in known + fitting[:i]]
    if not any(configs.values()):
        raise UserError(
            f"--from {source!r}: none of its {trials} finished trials is a configuration of a "
            f"tuned arm of {study.name}"
        )
    if outside:
        print(
            f"{outside} of {trials} trials lie outside of the search space, and are left out",
            file=sys.stderr,
        )
    print(f"# the best {best} of each search in {Path(source).name}, as they were scored there")
    print(yaml.safe_dump(configs, default_flow_style=None, sort_keys=False), end="")


def _tuned_arm(study: Study, name: str, *, told: bool) -> Arm | None:
    """The arm, if it is tuned in the study; told: somebody has named it, and hears if it is not."""
    if name in study.request.arms and study.arm(name).tuned:
        return study.arm(name)
    if told:
        tuned = [n for n, arm in study.arms.items() if arm.tuned]
        raise UserError(f"--arm {name!r}: the tuned arms of {study.name} are {', '.join(tuned)}")
    return None


def _own(config: dict[str, Value], arm: Arm) -> dict[str, Value] | None:
    """What of a configuration is the arm's, if all of it is there and within the search space."""
    own = {address: config[address] for address in arm.space if address in config}
    fits = own.keys() == arm.space.keys()
    return own if fits and all(is_within(d, own[a]) for a, d in arm.space.items()) else None
