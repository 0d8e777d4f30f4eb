"""The table of annotators."""

from pipelines.report.annotators import SHOWN, annotators_table
from pipelines.report.tables import MISSING


def suspects(count=1, confusion=((0.9, 0.1), (0.3, 0.7))):
    each = {"name": "w", "answers": 1200, "right": 0.8, "confusion": confusion}
    return {"classes": ["rock", "pop"], "annotators": [each] * count}


def test_a_row_says_what_is_answered_instead_of_what():
    [row] = annotators_table(suspects()).rows
    texts = {name: cell.text for name, cell in row.items()}
    assert texts == {
        "name": "w",
        "answers": "1,200",
        "right": "80.0",
        "mistakes": "rock for pop 30%, pop for rock 10%",
    }
    assert row["answers"].order == 1200


def test_who_never_errs_has_no_mistakes():
    [row] = annotators_table(suspects(confusion=((1, 0), (0, 1)))).rows
    assert row["mistakes"].text == MISSING


def test_many_annotators_are_folded():
    table = annotators_table(suspects(count=SHOWN + 3))
    assert (len(table.rows), len(table.folded)) == (SHOWN, 3)


def test_without_several_there_is_no_table():
    assert annotators_table(None) is None
    assert annotators_table({"classes": ["a", "b"], "annotators": []}) is None
    assert annotators_table({"first": []}) is None  # as earlier versions wrote it
