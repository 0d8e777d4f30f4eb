"""The command `arms`."""

from __future__ import annotations

import pkgutil

from rich.console import Console

from pipelines.commands.printing import print_columns, print_line
from pipelines.errors import UserError
from pipelines.study.arms import Arm, derived_arms, known_arms, resolve_arm
from pipelines.study.method_loading import is_fitted, method_class
from pipelines.study.phase_rules import reads_truth, uses_clean
from pipelines.study.search_space import describe_distribution

FAMILIES = "search_spaces.arms:FAMILIES"
HEAD = ["ARM", "PASSES", "NEEDS", "TUNED: DEFAULT IN RANGE", "WHAT IT IS"]


def list_arms(name: str | None, fits: str | None, console: Console) -> None:
    """One line per arm: cost of a run, what it needs, what is tuned, what it is and its source.

    name: of a study, whose arms are listed; by default all that there are, by family. fits: of a
    study, under whose protocol each is tried with one step; those that fail are told apart.
    """
    failed = _tried(fits) if fits else {}
    groups = _families() if name is None else {"": _of(name)}
    rows, heads = [HEAD], {}
    for family, arms in groups.items():
        heads[len(rows)] = family
        rows += [_row(n, arm) for n, arm in arms.items() if n not in failed]
    print_columns(rows, console, heads)
    if name is None:
        suffixes = " and ".join(f"NAME{suffix}" for suffix in derived_arms())
        print_line(f"\nOf each loss on the noisy labels alone there are {suffixes}, too.", console)
        print_line("Passes: of a run, over those of ce; a search takes them once a trial.", console)
    if failed:
        print_line(f"\nDo not fit {fits}:", console)
        print_columns([[n, reason] for n, reason in failed.items()], console)


def _families() -> dict[str, dict[str, Arm]]:
    """Arms by the first line of their family's page."""
    return {
        module.__doc__.splitlines()[0]: {n: resolve_arm(n, {}) for n in module.ARMS}
        for module in pkgutil.resolve_name(FAMILIES)
    }


def _of(name: str) -> dict[str, Arm]:
    from pipelines.commands.which_study import study_named

    return study_named(name)[0].arms


def _tried(name: str) -> dict[str, str]:
    """The arms that take no step under a study's protocol, and why."""
    from pipelines.commands.which_study import study_named
    from pipelines.planning.specs import default_spec
    from pipelines.training.rehearsal import rehearse

    study, failed = study_named(name)[0], {}
    for arm in known_arms():
        try:
            rehearse(default_spec(study, resolve_arm(arm, {})))
        except UserError as error:
            failed[arm] = str(error)
    return failed


def _row(name: str, arm: Arm) -> list[str]:
    from pipelines.training.passes import nominal_ratio

    ratio = nominal_ratio(arm.resolve({}))
    passes = f"{ratio:.1f}x" if ratio else "< 0.1x"
    if is_fitted(arm.phases[0].method):
        passes = "none"
    return [name, passes, _needs(arm), "; ".join(_ranges(arm)) or "-", arm.about]


def _needs(arm: Arm) -> str:
    phases = arm.resolve({})
    methods = [method_class(phase.method) for phase in phases]
    needs = {
        "clean labels": any(map(uses_clean, phases)),
        "the truth": any(map(reads_truth, phases)),
        "features": any(method.needs_features for method in methods),
        "vectors": any(method.needs_inputs for method in methods),
        "two networks": any(method.networks > 1 for method in methods),
        "an attack": any(method.needs_threat for method in methods),
        "unlabelled": any(method.uses_unlabelled for method in methods),
    }
    return ", ".join(name for name, needed in needs.items() if needed) or "-"


def _ranges(arm: Arm) -> list[str]:
    lines = []
    for name, distribution in arm.space.items():
        d = describe_distribution(distribution)
        within = d.get("choices") or f"{d['low']:g}..{d['high']:g}{' log' if d['log'] else ''}"
        lines.append(f"{name} {arm.default[name]:g} in {within}")
    return lines
