"""Fingerprints tell contents apart, and what is decoded is decoded once."""

import errno
import json
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


def gone(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


def of_another_shape(file: Path) -> None:
    if file.suffix == ".npy":
        np.save(file, np.load(file)[1:])
    else:
        document = json.loads(file.read_text())
        file.write_text(json.dumps(document | {"labels": document["labels"][1:]}))


def of_objects(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array([{}], object), allow_pickle=True)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES = (gone, empty, truncated, flipped, of_another_shape, of_objects, a_folder)


@pytest.mark.parametrize("name", ["x.npy", "dataset.json"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_is_made_anew_and_told_in_one_line(damage, name, folder, cache, capfd):
    first = load_dataset(images(folder))
    kept = {field: np.array(value) for field, value in vars(first).items()}
    [entry] = (cache / "data").iterdir()
    damage(entry / name)
    again = load_dataset(images(folder))
    said = capfd.readouterr().err
    assert said.startswith(f"cache entry {entry}: damaged (") and said.count("\n") == 1
    assert all(np.array_equal(value, kept[field]) for field, value in vars(again).items())
    assert load_dataset(images(folder)).fingerprint == first.fingerprint
    assert capfd.readouterr().err == ""
    assert list((cache / "data").iterdir()) == [entry], "something was left behind"


def test_who_reads_an_entry_keeps_it_while_others_make_it_anew(folder, cache):
    reader = load_dataset(images(folder))
    values = np.array(reader.x)
    [entry] = (cache / "data").iterdir()
    (entry / "dataset.json").unlink()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: load_dataset(images(folder)), range(8)))
    assert all((dataset.x == values).all() for dataset in [reader, *made])
    assert list((cache / "data").iterdir()) == [entry]


def test_a_cache_that_damages_whatever_is_written_is_told(folder, monkeypatch):
    monkeypatch.setattr("pipelines.data.cache.content_hash", lambda x: "another")
    message = r"cache .*: damaged \(x.npy has changed\); UNTUNED_CACHE names another folder"
    assert_refused(images(folder), message)


def test_a_full_disk_is_told(folder, cache, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    assert_refused(images(folder), "cache .*cache: .*No space left on device; UNTUNED_CACHE names")
    assert not list((cache / "data").iterdir()), "half of an entry was left behind"


def test_a_home_that_is_nobodys_is_told(folder, monkeypatch):
    monkeypatch.setenv("UNTUNED_CACHE", "~nobody_at_all/cache")
    assert_refused(images(folder), "cache ~nobody_at_all/cache: .*home.*; UNTUNED_CACHE names")


def test_data_that_may_not_be_read_is_no_fault_of_the_cache(folder, monkeypatch):
    def refuse(*_: object) -> Dataset:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    replace_reader(monkeypatch, refuse)
    assert_refused(images(folder), rf"\A{folder}: cannot be read: .*Permission denied")


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "file"))
    assert_refused(images(folder), r"cache .*file: .*; UNTUNED_CACHE names another folder")
