"""Google's and Azure's object stores: a study is kept there, or one line says what is missing."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from obstore.exceptions import BaseError, GenericError, UnknownConfigurationKeyError
from obstore.store import AzureStore, GCSStore, S3Store

from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import CREDENTIALS, open_storage, unusable
from tests.ledger.conftest import RESULT, started, state
from tests.support.cloud_stores import cloud_store


@pytest.fixture(params=["gs", "az"])
def location(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with cloud_store(request.param) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield f"{request.param}://bucket/a study"


def test_a_file_is_created_once_replaced_listed_and_deleted(location: str):
    storage = open_storage(location, create=True)
    assert storage.files("") == []  # of the proof, nothing is left
    assert storage.create_once("a/b c", b"first") and not storage.create_once("a/b c", b"second")
    assert storage.read("a/b c") == b"first"
    storage.replace("a/b c", b"other")
    [file] = storage.files("a")
    assert (file.path, file.size, storage.read("a/b c")) == ("a/b c", 5, b"other")
    for _ in range(2):  # what is not there is fine
        storage.delete("a/b c")
    assert storage.read("a/b c") is None and storage.files("a") == []


def test_a_trial_is_kept_with_its_checkpoint_and_its_result(location: str):
    ledger = Ledger.open(location)
    ledger.create_study({"hash": "a", "protocol": {}})
    started(ledger).save_checkpoint(b"half", 1)
    attempt = started(Ledger.open(location))
    assert attempt.load_newest_checkpoint() == (1, b"half")
    attempt.finish(RESULT, [])
    assert state(Ledger.open(location)) == "completed"


def test_one_driver_holds_the_lease(location: str):
    ledger = Ledger.open(location)
    with ledger.acquire_lease(), pytest.raises(UserError, match="is driving"):
        Ledger.open(location).acquire_lease()
    with ledger.acquire_lease():
        pass


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("gs://bucket/a", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/a", "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
        ("S3://bucket/a", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"),
    ],
)
def test_without_credentials_one_line_names_what_says_who_asks(url: str, names: str, create: bool):
    """A store asks the machine for its role where the environment says nothing."""
    asked = "Generic error: Error performing GET http://169.254.169.254/token\n\nDebug source"
    line = str(unusable(url, BaseError(asked), create=create))
    assert line == (
        f"storage {url!r} cannot be used (no credentials for it in the environment, nor by the "
        "machine's role): give the URL of an object store that this machine may use: by "
        f"{names}, or by its role"
    )


def test_azure_without_an_account_is_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match=r"\A[^\n]*Account must be specified[^\n]*ACCOUNT_NAME"):
        open_storage("az://container/a", create=True)


@pytest.mark.parametrize(("scheme", "store"), [("s3", S3Store), ("g", GCSStore), ("a", AzureStore)])
def test_what_says_who_asks_is_what_the_stores_read(scheme: str, store: Any):
    """Each of these variables is an option of obstore, which refuses those it does not know."""
    account = {"azure_storage_account_name": "account"} if scheme == "a" else {}
    for name in re.findall(r"[A-Z][A-Z_]+", CREDENTIALS[scheme]):
        with suppress(GenericError):  # it looks for the file
            store("bucket", config=account | {name.lower(): "a2V5"})
    with pytest.raises(UnknownConfigurationKeyError):
        store("bucket", config=account | {"google_credential": "a2V5"})
