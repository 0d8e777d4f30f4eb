"""Fingerprints tell contents apart, and what is decoded is decoded once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.sources import SOURCES
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused, images, paint, write_labels


def replace_reader(patch: pytest.MonkeyPatch, read: Callable[[Data, Path], Dataset]) -> None:
    """Image folders are read by another function."""
    source = replace(SOURCES["image_folder"], read=read)
    patch.setitem(SOURCES, source.name, source)


def test_a_fingerprint_is_of_values_and_labels_and_not_of_the_path(folder, tmp_path):
    first = load_dataset(images(folder)).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_dataset(images(moved)).fingerprint == first
    labels = write_labels(tmp_path / "l.csv", [("a/0.png", "b")])
    assert load_dataset(images(moved, labels=labels)).fingerprint != first
    assert load_dataset(images(moved, trusted=labels)).fingerprint != first
    (moved / "train" / "a" / "0.png").rename(moved / "train" / "b" / "00.png")
    relabelled = load_dataset(images(moved)).fingerprint
    assert relabelled != first
    paint(moved / "train" / "a" / "1.png", (21, 0, 1))
    assert load_dataset(images(moved)).fingerprint not in (first, relabelled)


def test_files_are_decoded_once_and_again_when_they_change(folder, monkeypatch):
    first = load_dataset(images(folder))
    assert isinstance(first.x, np.memmap)
    assert not first.x.flags.writeable
    with monkeypatch.context() as patch:
        replace_reader(patch, lambda *_: pytest.fail("decoded again"))
        again = load_dataset(images(folder))
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    paint(folder / "train" / "a" / "0.png", (99, 0, 1))
    assert load_dataset(images(folder)).x[0, 0, 0, 0] == 99


def test_several_threads_may_decode_the_same_folder_at_once(folder, cache):
    with ThreadPoolExecutor(4) as threads:
        done = threads.map(lambda _: load_dataset(images(folder)).fingerprint, range(8))
        assert len(set(done)) == 1
    assert len(list((cache / "data").iterdir())) == 1, "temporary folders were left behind"


def test_a_cache_entry_made_meanwhile_by_another_process_stands(folder, monkeypatch):
    read = SOURCES["image_folder"].read

    def slow(data: Data, entry: Path) -> Dataset:
        replace_reader(monkeypatch, read)
        load_dataset(data)  # the other process is faster
        return read(data, entry)

    replace_reader(monkeypatch, slow)
    assert load_dataset(images(folder)).x.shape == (8, 3, 3, 4)


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "file"))
    assert_refused(images(folder), r"cache .*file: .*; UNTUNED_CACHE names another folder")
