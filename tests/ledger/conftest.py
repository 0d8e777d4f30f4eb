"""A storage of each kind, a ledger in it, and one trial to try it with."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.documents import encode, sha256
from pipelines.ledger.ledger import Ledger
from tests.support.object_store import BUCKET, object_store

KEY = "gce-0f3a"
SPEC = {"key": KEY, "arm": "gce", "config": {"q": 0.7}}
RESULT = {"status": "completed", "val": 0.5, "cost": {"seconds": 1.0}}
ROWS = [{"epoch": 1, "val/accuracy": 0.5}]


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with object_store() as environment:
        yield environment


@pytest.fixture(params=["local", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> str:
    if request.param == "local":
        return str(tmp_path / "study")
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def ledger(location: str) -> Ledger:
    return Ledger.open(location)


def started(ledger: Ledger, key: str = KEY):
    """A new attempt at a trial that need not exist yet."""
    ledger.add_trial(SPEC | {"key": key})
    return ledger.attempt(key, ledger.new_attempt(key))


def recorded(attempt: int = 1) -> dict:
    """The result, as an attempt completes it."""
    history = sha256(encode({"rows": ROWS}, f"trials/{KEY}/attempts/{attempt}/history.json"))
    return RESULT | {"attempt": attempt, "files": {"history.json": history}}


def state(ledger: Ledger) -> str:
    trial = ledger.trial(KEY)
    assert trial is not None
    return trial.state
