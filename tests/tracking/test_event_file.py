"""TensorBoard's event files: one per trial, every row once, and never a trial's fate."""

import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from pipelines.tracking.event_file import event_file
from pipelines.tracking.rows import Histogram

SPEC = {"key": "gce-0123abcd", "arm": "gce", "role": "search", "repeat": 1, "index": 3}
SPEC |= {"config": {"q": 0.5}}
ROWS = [{"epoch": e, "phase": "main", "val/accuracy": e / 8, "val/loss": None} for e in (1, 2, 3)]


def events(folder: Path) -> list[Event]:
    """All records of a folder's files: length, its checksum, the record, its checksum."""
    found = []
    for path in folder.rglob("events.out.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    return [
        (value.tag, event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "simple_value"
    ]


def test_numbers_stand_under_their_epoch_and_texts_and_gaps_are_left_out(tmp_path):
    with event_file(SPEC, tmp_path) as written:
        for row in ROWS:
            written.log(row)
    assert scalars(tmp_path) == [("val/accuracy", e, e / 8) for e in (1, 2, 3)]
    (folder,) = (tmp_path / "tensorboard/gce").iterdir()
    assert folder.name == "search-1.3-0123abcd"


def test_what_was_logged_can_be_seen_before_the_trial_ends(tmp_path):
    with event_file(SPEC, tmp_path) as written:
        written.log(ROWS[0])
        assert scalars(tmp_path) == [("val/accuracy", 1, 0.125)]


def test_a_resumed_trial_has_every_row_once(tmp_path):
    with event_file(SPEC, tmp_path) as written:
        for row in ROWS:
            written.log(row)
    with event_file(SPEC, tmp_path, ROWS[:2]) as written:  # its checkpoint was earlier
        written.log(ROWS[2])
    assert scalars(tmp_path) == [("val/accuracy", e, e / 8) for e in (1, 2, 3)]


def test_a_histogram_has_its_own_edges(tmp_path):
    with event_file(SPEC, tmp_path) as written:
        written.log({"epoch": 1, "weights/clean": Histogram([3.0, 1.0], [0.0, 1.0, 4.0])})
    [histogram] = [v.histo for e in events(tmp_path) for v in e.summary.value if v.tag]
    assert list(histogram.bucket_limit) == [1.0, 4.0] and list(histogram.bucket) == [3.0, 1.0]
    assert (histogram.min, histogram.max, histogram.num) == (0.0, 4.0, 4.0)
    assert (histogram.sum, histogram.sum_squares) == (0.5 * 3 + 2.5, 0.25 * 3 + 6.25)


def test_the_table_of_hyperparameters_has_what_was_tuned_and_val(tmp_path):
    with event_file(SPEC, tmp_path) as written:
        written.summarize({"status": "completed", "val/last": 0.75, "passes": 9000})
    data = [
        HParamsPluginData.FromString(v.metadata.plugin_data.content)
        for e in events(tmp_path)
        for v in e.summary.value
        if v.metadata.plugin_data.plugin_name == "hparams"
    ]
    [started] = [d.session_start_info for d in data if d.HasField("session_start_info")]
    assert started.hparams["q"].number_value == 0.5
    assert started.hparams["arm"].string_value == "gce"
    assert scalars(tmp_path) == [("end/val/last", 0, 0.75), ("end/passes", 0, 9000)]


def test_a_file_that_cannot_be_written_costs_one_warning(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file in the place of the folder")
    with event_file(SPEC, tmp_path, ROWS) as written:
        written.log(ROWS[0])
        written.summarize({"passes": 1})
    assert [r.message.split(" (")[0] for r in caplog.records] == [
        "TensorBoard, trial gce-0123abcd: it is logged no further"
    ]


def test_an_exception_of_the_trial_goes_through_and_closes_the_file(tmp_path):
    with pytest.raises(RuntimeError, match="the trial"), event_file(SPEC, tmp_path, ROWS):
        raise RuntimeError("the trial")
    assert len(scalars(tmp_path)) == 3
