"""The set-up in words, and the paragraph for a paper that is made of it."""

from typing import Any

import pytest

from pipelines.report.methods_text import latex, methods_bib, methods_tex, references
from pipelines.report.set_up import duration, range_text, schedule_text, span
from pipelines.report.study_report import study_report
from pipelines.study.protocol import Schedule
from tests.conftest import small_study
from tests.support.synthetic_ledger import write_study


@pytest.fixture(scope="module")
def report(finished) -> Any:
    """The report of a full study."""
    return study_report(finished)


def test_the_set_up_tells_data_model_schedule_spaces_score_and_time(report):
    lines = dict(report.set_up.lines)
    protocol = report.study_state.study.protocol
    assert lines["data"].startswith("digits, 1,797 examples of 10 classes: 0, 1, 2")
    assert lines["splits"] == (
        "1,097 train (labels as they come), 100 meta (clean), 100 val (clean), 500 test"
    )
    assert "of the training labels are wrong, as measured" in lines["label noise"]
    assert lines["imbalance"] == "97 to 100 training labels per class"
    assert lines["schedule"].startswith(f"{protocol.schedule.epochs} epochs in batches of")
    assert lines["space of gce"] == "q in [0.05, 1]"
    assert lines["score"].startswith("accuracy, % on 500 test examples, last epoch; margin")
    assert lines["hardware"].startswith("abacus (")
    assert lines["time"].endswith("in all, if one trial ran after another")


def test_before_any_trial_has_run_the_set_up_tells_what_the_study_file_says(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce")), limit=0)
    lines = dict(study_report(storage).set_up.lines)
    assert lines["data"] == "digits"
    assert "time" not in lines and "hardware" not in lines


def test_examples_without_a_label_are_told_of(tmp_path):
    before = write_study(tmp_path / "a", small_study(("ce", "self_training")), limit=0)
    assert dict(study_report(before).set_up.lines)["splits"].endswith(", 40 unlabelled")


def test_the_paragraph_names_every_arm_and_cites_what_it_has_a_reference_for(report):
    text = methods_tex(report.study_state, report.set_up)
    for name in report.results["arms"]:
        assert f"({latex(name)})" in text
    assert r"without truncation (gce)~\cite{zhang2018generalized}" in text
    assert r"plain cross-entropy (ce)," in text  # its method's file names label smoothing's paper
    assert "500 test" in text


def test_all_that_is_cited_has_an_entry(report):
    sources = references(report.study_state.planner.arms)
    bib = methods_bib(report.study_state)
    assert {"gce", "sce_plus_meta", "l2rw", "mw_net", "gce_learned"} == set(sources) - {
        "gce_plus_meta"
    }
    for source in sources.values():
        assert bib.count(f"{{{source.key},") == 1
    assert "author = {Ren and Zeng and Yang and Urtasun}" in bib
    assert "@misc{shu2020learning" in bib  # of 2020, without a venue


@pytest.mark.parametrize(
    ("repeats", "seeds", "told"),
    [
        (3, 2, r"3 repeats; intervals are Student's at 95\% over the means of the repeats"),
        (2, 3, "2 repeats, too few for intervals"),
        (1, 3, r"1 repeat with 3 run seeds; intervals are Student's at 95\% over the run seeds"),
        (1, 1, "1 repeat with 1 run seed, too few for intervals"),
    ],
)
def test_the_paragraph_tells_of_the_intervals_that_there_are(tmp_path, repeats, seeds, told):
    study = small_study(("ce",), repeats=repeats, seeds=seeds)
    report = study_report(write_study(tmp_path, study, limit=0))
    assert f"Means are over {told}.\n" in methods_tex(report.study_state, report.set_up)


def test_latex_sets_text_as_it_is():
    assert latex("a_b 40% {x} & \\ ~") == r"a\_b 40\% \{x\} \& \textbackslash{} \textasciitilde{}"


def test_a_length_in_steps_and_a_cosine_that_begins_anew_are_told():
    assert schedule_text(Schedule(steps=80_000)).startswith("80,000 steps in batches")
    assert "(cosine, anew every 10 epochs)" in schedule_text(Schedule(restart_epochs=10))


def test_every_optimizer_is_told_with_its_own_options(report):
    schedule = report.study_state.study.protocol.schedule
    adamw = schedule.model_copy(update={"optimizer": "adamw"})
    own = {"optimizer": "mine:Lion", "optimizer_options": {"b": 2}}
    assert "SGD with momentum 0.9, learning" in schedule_text(schedule)
    undecayed = schedule.model_copy(update={"no_decay": "norm_and_bias"})
    assert schedule_text(undecayed).endswith("(not of norms and biases)")
    assert "AdamW with betas 0.9 and 0.999, eps 1e-08" in schedule_text(adamw)
    assert "mine:Lion with b 2, learning" in schedule_text(schedule.model_copy(update=own))


def test_ranges_times_and_spans_in_words():
    assert range_text({"low": 0.01, "high": 10, "log": True}) == "in [0.01, 10] (log)"
    assert range_text({"choices": ["a", "b"]}) == "of {a, b}"
    assert [duration(s) for s in (38, 600, 7200)] == ["38 s", "10 min", "2.0 h"]
    assert (span([0.4, 0.38], ".0%"), span([0.4], ".0%")) == ("38% to 40%", "40%")
