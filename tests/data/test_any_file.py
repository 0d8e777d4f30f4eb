"""Whatever bytes a file of data holds: the values that another reader finds, or one line."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from tests.support.any_file import KINDS, FileKind
from tests.support.damage import Damage, damages, outcome

ATTACK = settings(deadline=None, suppress_health_check=list(HealthCheck))
damaged_files = given(
    kind=st.sampled_from(sorted(KINDS)), blows=st.lists(damages, min_size=1, max_size=3)
)


def attack(kind: FileKind, blows: list[Damage], cache: Path) -> str:
    """Load a damaged file; what came of it."""
    folder = Path(tempfile.mkdtemp())
    try:
        kind.around(folder)
        content = kind.content
        for blow in blows:
            content = blow(content)
        (folder / kind.place).write_bytes(content)
        before = sorted(folder.rglob("*"))
        result = outcome(lambda: load_dataset(kind.study(folder)))
        assert sorted(folder.rglob("*")) == before, "something was written beside the data"
        if isinstance(result, UserError):
            assert not list(cache.glob("data/.*")), "half of an entry is in the cache"
            return str(result)
        compare(result, kind, folder / kind.place)
        return "accepted"
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(cache, ignore_errors=True)


def compare(dataset: Dataset, kind: FileKind, file: Path) -> None:
    """What is accepted is finite, within its classes, and what another reader says.

    That one may be of no use: of damaged GIF files torchvision's gives whatever was in memory. Or
    it is stricter, and refuses the file. Then nothing is lost of what was in it: of a file that is
    cut short, and of a kind with checksums. Others hold what their bytes happen to say.
    """
    assert np.isfinite(dataset.x).all() and len(dataset.x) == len(dataset.observed)
    assert dataset.observed.min() >= 0 and dataset.observed.max() < len(dataset.classes)
    if not (kind.reads_damaged or file.read_bytes() == kind.content):
        return
    try:
        expected = kind.read(file)
    except Exception:
        if not (kind.checksums or kind.content.startswith(file.read_bytes())):
            return
        file.write_bytes(kind.content)
        expected = kind.read(file)
    if expected is not None:
        assert [dataset.classes[k] for k in dataset.observed] == expected.labels
        assert dataset.x.shape == expected.x.shape
        assert (dataset.x == expected.x).all()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_intact_file_is_read_as_by_the_other_reader(name: str, cache):
    result = attack(KINDS[name], [], cache)
    assert result == "accepted" if name != "npy" else "single array" in result


@settings(ATTACK, max_examples=150)
@damaged_files
def test_a_damaged_file_is_read_as_it_is_or_told_in_one_line(kind, blows, cache):
    attack(KINDS[kind], blows, cache)


@pytest.mark.slow
@settings(ATTACK, max_examples=1000)
@damaged_files
def test_many_damaged_files_are_read_as_they_are_or_told_in_one_line(kind, blows, cache):
    attack(KINDS[kind], blows, cache)
