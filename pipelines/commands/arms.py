"""The command `arms`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import print_columns
from pipelines.study.arms import Arm, known_arms, resolve_arm
from pipelines.study.method_loading import method_class
from pipelines.study.search_space import describe_distribution


def list_arms(console: Console) -> None:
    """One line per arm: classes, pools, tuned hyperparameters with default and range."""
    rows = [["ARM", "METHOD", "POOLS", "TUNED: DEFAULT IN RANGE"]]
    for name in known_arms():
        arm = resolve_arm(name, {})
        methods = dict.fromkeys(method_class(p.method).__name__ for p in arm.phases)
        pools = " > ".join(p.pool for p in arm.phases)
        rows.append([name, ", ".join(methods), pools, "; ".join(_ranges(arm)) or "-"])
    print_columns(rows, console)


def _ranges(arm: Arm) -> list[str]:
    lines = []
    for name, distribution in arm.space.items():
        d = describe_distribution(distribution)
        within = d.get("choices") or f"{d['low']:g}..{d['high']:g}{' log' if d['log'] else ''}"
        lines.append(f"{name} {arm.default[name]:g} in {within}")
    return lines
