"""The command `arms`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import print_columns
from pipelines.study.arms import Arm, known_arms, resolve_arm
from pipelines.study.method_loading import method_class
from pipelines.study.search_space import describe_distribution


def list_arms(name: str | None, console: Console) -> None:
    """One line per arm: classes, pools, tuned hyperparameters with default and range.

    name: of a study, whose arms are listed; by default all that there are.
    """
    arms = {n: resolve_arm(n, {}) for n in known_arms()} if name is None else _of(name)
    rows = [["ARM", "METHOD", "POOLS", "TUNED: DEFAULT IN RANGE"]]
    for arm_name, arm in arms.items():
        methods = dict.fromkeys(method_class(p.method).__name__ for p in arm.phases)
        pools = " > ".join(p.pool for p in arm.phases)
        rows.append([arm_name, ", ".join(methods), pools, "; ".join(_ranges(arm)) or "-"])
    print_columns(rows, console)


def _of(name: str) -> dict[str, Arm]:
    from pipelines.commands.which_study import study_named

    return study_named(name)[0].arms


def _ranges(arm: Arm) -> list[str]:
    lines = []
    for name, distribution in arm.space.items():
        d = describe_distribution(distribution)
        within = d.get("choices") or f"{d['low']:g}..{d['high']:g}{' log' if d['log'] else ''}"
        lines.append(f"{name} {arm.default[name]:g} in {within}")
    return lines
