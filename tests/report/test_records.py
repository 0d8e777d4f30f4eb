"""From a ledger to records: roles, clean labels, partial studies."""

import math
import subprocess
import sys

import pytest
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.report.records import clean_labels
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study

ARMS = ["ce", "gce", "gce_plus_meta", "clean_only_all", "l2rw"]


@pytest.fixture(scope="module")
def study_state(tmp_path_factory):
    """A finished study with an axis and a sensitivity arm."""
    storage = str(tmp_path_factory.mktemp("records") / "study")
    study = small_study(ARMS, trials=1, repeats=2, axes={"splits.meta": [20]}, sensitivity=["l2rw"])
    options = Options(storage=storage, executor="inline", wandb="disabled", device="cpu")
    launch(study, options, Console(quiet=True))
    return load_study_state(storage)[1]


def test_every_role_has_its_record(study_state):
    counts = {(r.arm, r.role): 0 for r in study_state.records}
    for record in study_state.records:
        counts[record.arm, record.role] += 1
    assert counts == {
        ("ce", "final"): 2,
        ("clean_only_all", "final"): 2,
        ("l2rw", "final"): 2,
        ("l2rw", "sensitivity"): 2 * 3 * 4,
        **{(a, p): n for a in ARMS[1:3] for p, n in [("search", 4), ("curve", 4)]},
        **{(a, p): 2 for a in ARMS[1:3] for p in ("default", "final")},
    }


def test_records_stand_in_the_order_of_the_plan(study_state):
    searched = [(r.index, r.repeat, r.arm) for r in study_state.records if r.role == "search"]
    assert searched == [(i, r, arm) for i in (0, 1) for r in (0, 1) for arm in ARMS[1:3]]


def test_clean_labels_are_counted_for_training_and_for_selection(study_state):
    used = {r.arm: (r.clean_train, r.clean_select) for r in study_state.records}
    assert used == {
        "ce": (0, 0),
        "gce": (0, 50),
        "gce_plus_meta": (50, 50),
        "clean_only_all": (100, 0),
        "l2rw": (50, 0),
    }
    smaller = {r.arm: r.clean_train for r in study_state.records_in["splits.meta=20"]}
    assert smaller == {"ce": 0, "gce": 0, "gce_plus_meta": 20, "clean_only_all": 70, "l2rw": 20}


def test_corrupted_val_labels_are_not_clean_labels():
    study = small_study(["gce", "clean_only_all"])
    noisy = study.protocol.splits.model_copy(update={"val_labels": "corrupted"})
    protocol = study.protocol.model_copy(update={"splits": noisy})
    assert clean_labels(protocol, study.arm("clean_only_all").resolve({})) == 50


@pytest.mark.parametrize(
    ("arm", "labels"), [("mw_net", 50), ("cmw_net", 50), ("cmw_net_pseudo", 0), ("mw_net_mae", 0)]
)
def test_who_learns_from_training_examples_alone_uses_no_clean_labels(arm, labels):
    study = small_study([arm])
    assert clean_labels(study.protocol, study.arm(arm).resolve({})) == labels


def test_an_arm_without_val_has_none(study_state):
    assert all(math.isnan(r.val) for r in study_state.records if r.arm == "clean_only_all")


def test_results_hold_sensitivity_and_scenarios(study_state):
    results = study_state.results()
    knobs = {row["knob"]: row for row in results["arms"]["l2rw"]["sensitivity"]}
    assert set(knobs) == {"schedule.lr", "schedule.weight_decay", "meta.batch_size"}
    factors = [value["factor"] for value in knobs["schedule.lr"]["values"]]
    assert sorted(factors) == pytest.approx([0.25, 0.5, 2, 4])
    assert set(results["scenarios"]["scenarios"]) == {"", "splits.meta=20"}


def test_provenance_counts_versions_and_tells_the_noise(study_state):
    provenance = study_state.results()["provenance"]
    assert sum(provenance["code"].values()) == len(study_state.trials)
    repeats = [(n["scenario"], n["repeat"]) for n in provenance["noise"]]
    assert repeats == [("", 0), ("", 1), ("splits.meta=20", 0), ("splits.meta=20", 1)]
    assert all(n["measured"]["train"] == pytest.approx(0.4, abs=0.1) for n in provenance["noise"])
    assert len({n["data_seed"] for n in provenance["noise"]}) == 4


def test_the_headline_tells_of_the_scenarios_and_of_the_arms_own_knobs(everything):
    results = load_study_state(everything)[1].results()
    sentences = results["headline"]["sentences"]
    [whole] = [s for s in sentences if s.startswith("Over all 3 scenarios")]
    [mean] = [
        a["difference"]["mean"]
        for a in results["scenarios"]["aggregate"]
        if (a["untuned"], a["tuned"]) == ("l2rw", "gce_plus_meta")
    ]
    assert f"difference {100 * mean:+.1f} points" in whole
    [knobs, _] = [s for s in sentences if s.startswith("With one of its knobs")]
    rows = results["arms"]["l2rw"]["sensitivity"]
    worst = min(value["test"]["mean"] for row in rows for value in row["values"])
    assert f"l2rw scores {100 * worst:.1f} at worst" in knobs


def test_status_starts_without_what_only_the_report_needs():
    code = (
        "import sys, run_sweep, pipelines.commands.status; "
        "sys.exit(bool({'plotly', 'scipy', 'sklearn', 'jinja2'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
