"""The first screen: six questions with a short answer each."""

import re

import pytest

from pipelines.report.glance import COST, TRUST, WRONG
from pipelines.report.pages import page
from pipelines.report.study_report import study_report
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, write_study


def short(report) -> dict[str, str]:
    return {line.question: line.short for line in report.glance}


def test_a_full_study_answers_six_questions(finished):
    report = study_report(finished)
    answer, shown = report.results["answer"], short(report)
    assert list(shown) == [*(line["question"] for line in answer["lines"]), TRUST, COST, WRONG]
    use, tuning, own = list(shown.values())[:3]
    assert use.startswith(f"{answer['use']['arm']}: ")
    assert tuning.startswith(f"{answer['tuning']}: ")
    worst = min(answer["self_tuning"]["gaps"], key=lambda gap: gap["mean"])
    assert own == f"{answer['self_tuning']['arm']}: {worst['text']} over {worst['over']}"
    assert shown[TRUST] == "3 repeats, complete"
    assert shown[WRONG] == "nothing"


@pytest.mark.parametrize(
    ("repeats", "seeds", "told"),
    [
        (1, 2, "too few for intervals, so that nothing is shown"),
        (1, 3, "over its run seeds, and tell of this repeat alone"),
        (2, 3, "too few for intervals, so that nothing is shown"),
        (3, 1, "brackets are 95 % intervals; few repeats give wide ones"),
        (5, 1, "brackets are 95 % intervals."),
    ],
)
def test_trust_says_what_the_intervals_rest_on(tmp_path, repeats, seeds, told):
    study = small_study(("ce", "l2rw"), trials=0, repeats=repeats, seeds=seeds)
    use, _, own, trust, *_ = study_report(write_study(tmp_path, study)).glance
    assert trust.question == TRUST and told in trust.text and trust.alarm == (repeats < 3)
    if "too few" in told:
        assert re.fullmatch(r"undecided; l2rw leads with 9\d\.\d %", use.short)
        assert re.fullmatch(r"l2rw: \+\d+\.\d points over ce \(only . repeats?\)", own.short)
    else:
        assert re.match(r"l2rw: 9\d\.\d % \[", use.short)
        assert re.fullmatch(r"l2rw: \+\d+\.\d points \[.*\] over ce", own.short)


def test_a_study_that_has_just_begun_has_no_answer_yet(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw")), limit=0)
    lines = study_report(storage).glance
    assert [line.short for line in lines[:3]] == [
        "no final run has finished yet",
        "no search has finished yet",
        "no self-tuning arm has finished yet",
    ]
    assert next(line for line in lines if line.question == TRUST).alarm


def test_what_a_study_does_not_do_is_said_in_a_few_words(tmp_path):
    """On a narrow screen nothing but these words is seen."""

    def shorts(arms, trials):
        study = small_study(arms, trials=trials, repeats=3)
        report = study_report(write_study(tmp_path / arms[-1], study))
        assert "search costs" not in next(g.text for g in report.glance if g.question == COST)
        return [line.short for line in report.glance[1:3]]

    assert shorts(("ce", "l2rw"), 2)[0] == "no arm is tuned in this study"
    assert shorts(("ce", "gce"), 0) == ["nothing was tuned", "no arm tunes itself in this study"]


def test_a_default_that_won_every_search_is_no_lack_of_repeats(tmp_path):
    def outcome(spec):
        result, history = completed(spec)
        if spec["config"].get("q", 0.7) != 0.7:
            result["val"] = {"last": 0.1, "selected": 0.1}
        return result, history

    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw"), repeats=3), outcome)
    line = study_report(storage).glance[1]
    assert line.short == "gce: nothing"
    assert line.text.startswith("Tuning does not change gce")
    assert line.text.endswith("its default won 3 of 3 searches.")


def test_an_unfinished_study_says_how_far_it_is(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw")), limit=5)
    report = study_report(storage)
    runs = report.results["runs"]
    (line,) = [line for line in report.glance if line.question == TRUST]
    assert line.short.endswith(f"{runs['done']} of {runs['planned']} runs") and line.alarm
    assert "the answer may change" in line.text


def test_failures_are_seen_on_the_first_screen(tmp_path):
    def outcome(spec):
        return ValueError("no") if spec["arm"] == "gce" else completed(spec)

    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw")), outcome)
    (line,) = [line for line in study_report(storage).glance if line.question == WRONG]
    assert line.alarm and "failed." in line.text


def test_of_many_damaged_trials_the_first_are_told_and_the_others_counted(tmp_path):
    storage = write_study(tmp_path, small_study())
    for history in tmp_path.glob("trials/*/attempts/1/history.json"):
        history.write_text("no history")
    report = study_report(storage)
    (wrong,) = [line for line in report.glance if line.question == WRONG]
    damaged = len(report.results["provenance"]["damaged"])
    assert damaged > 3 and wrong.short == f"{damaged} warnings"
    assert wrong.text.count("history.json is damaged") == 3
    assert wrong.text.endswith(f"And {damaged - 3} more, below.")


def test_of_many_warnings_three_are_told_on_the_first_screen_and_all_at_length(tmp_path):
    report = study_report(write_study(tmp_path, small_study()))
    warnings = report.results["answer"]["warnings"]
    warnings[:] = [{"trouble": "collapsed", "arm": "ce", "text": f"No {n}."} for n in range(5)]
    (wrong,) = [line for line in report.glance if line.question == WRONG]
    assert (wrong.short, wrong.text) == ("5 warnings", "No 0. No 1. No 2. And 2 more, below.")
    assert "<li>No 4.</li>" in page([report])
