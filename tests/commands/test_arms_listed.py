"""The command `arms`: families, costs, needs; which arms fit a study."""

import io

import pytest
from rich.console import Console

from pipelines.commands.arms import list_arms
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.training.passes import nominal_ratio


def listed(name=None, fits=None):
    out = io.StringIO()
    list_arms(name, fits, Console(file=out, width=80))
    return out.getvalue().splitlines()


def row(name, lines):
    [line] = [line for line in lines if line.startswith(f"{name} ")]
    return " ".join(line.split())


def test_every_arm_has_one_line_in_its_family():
    lines = listed()
    assert all(row(name, lines) for name in known_arms())
    head = lines.index("Losses and labels corrected for the noise.")
    assert lines[head + 1].startswith("glc ") and lines[head - 1] == ""


def test_a_line_says_what_a_run_costs_what_it_needs_and_what_is_tuned():
    lines = listed()
    assert row("gce", lines).startswith("gce 1.0x - q 0.7 in 0.05..1 generalized cross-entropy")
    assert row("l2rw", lines).startswith("l2rw 3.0x clean labels - learning to reweight")
    assert row("clean_only", lines).startswith("clean_only < 0.1x clean labels")
    assert row("coteaching", lines).startswith("coteaching 2.0x two networks rate 0.2")
    assert row("importance_weights", lines).startswith(
        "importance_weights 2.0x clean labels, features"
    )
    assert row("pgd_training", lines).startswith("pgd_training 7.7x an attack")
    assert row("forward_oracle", lines).startswith("forward_oracle 1.0x the truth - oracle: ")


def test_arms_that_do_not_fit_a_study_are_told_apart_with_the_reason():
    lines = listed(fits="digits")
    split = lines.index("Do not fit digits:")
    assert row("gce", lines[:split]) and "has none" in row("pgd_training", lines[split:])


def test_a_studys_own_arms_are_listed():
    lines = listed("digits")
    assert row("gce_plus_meta", lines).startswith("gce_plus_meta 1.0x clean labels q 0.7")
    assert not any(line.startswith("elr ") for line in lines)


@pytest.mark.parametrize(("name", "ratio"), [("ce", 1), ("mw_net", 4), ("gce_frozen", 5)])
def test_the_cost_is_that_of_the_passes(name, ratio):
    assert nominal_ratio(resolve_arm(name, {}).resolve({})) == ratio
