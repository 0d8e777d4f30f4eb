"""Where a study's files live: a local directory, or an object store behind a URL.

Both write whole files only, atomically and durably, and both can create a file *if absent*: that is
all that the ledger's promises rest on, and `prove` tries it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from obstore.exceptions import BaseError

from pipelines.errors import UserError
from pipelines.ledger.files import SCRATCH, File
from pipelines.ledger.local_storage import LocalStorage, missing_folders, remove_empty
from pipelines.ledger.object_storage import ObjectStorage

STORAGE_ERRORS = (OSError, BaseError)
#: Seconds for which a request to an object store is repeated once it is known to be there.
PATIENCE = 60.0
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
#: An object store's URL with too few slashes, which would be a strange name of a directory.
ALMOST_URL = re.compile(r"(s3a?|gc?s|az|azure|adl|abfss?|https?|file|memory):", re.IGNORECASE)
#: Of clouds: asked for credentials where the environment has none.
METADATA_SERVERS = ("169.254.169.254", "metadata.google.internal")
#: What a request took: else the same error would be told again each time.
TOOK = re.compile(r" in [\d.]+(?:ns|µs|ms|s)\b")
#: By which of the environment's variables a store knows who asks, by the beginning of its URL.
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "g": "GOOGLE_APPLICATION_CREDENTIALS",
    "a": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
NO_STORAGE = {
    "file": "give the directory itself, without file://",
    "memory": "it would be gone with this process",
}


class Storage(Protocol):
    """Files below one root. Paths are relative and use `/`."""

    def create_once(self, path: str, data: bytes) -> bool:
        """Write a file that does not exist yet; False, and nothing written, if it does."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, whether or not it exists."""
        ...

    def read(self, path: str) -> bytes | None:
        """The file's content, or None if there is no such file."""
        ...

    def read_own(self, path: str) -> bytes | None:
        """As `read`, but None also for what a link leads to and for what is no plain file."""
        ...

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The content of each file in turn, as `read` gives it."""
        ...

    def files(self, folder: str) -> list[File]:
        """All files below a folder, in no particular order; empty if there is no such folder."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; one that does not exist is fine."""
        ...


def is_url(location: str) -> bool:
    """Whether a storage is an object store's URL; else it is a local path."""
    return URL.match(location) is not None


def open_storage(location: str, *, create: bool, known: bool = False) -> Storage:
    """The storage at a local path, or at a URL such as `s3://bucket/prefix`.

    Endpoint, region and keys of an object store come from the environment (`AWS_ENDPOINT_URL`,
    `AWS_ACCESS_KEY_ID`, ...). With `create`, a missing directory is made, and the place is proven
    to do what a ledger needs. known: it has been, by another process.

    Raises:
        UserError: it cannot be used.
    """
    _refuse_what_is_no_place(location)
    made: list[Path] = []
    try:
        if is_url(location):
            storage: Storage = ObjectStorage(location)
        else:
            made = missing_folders(Path(location)) if create else []
            storage = LocalStorage(Path(location), create=create)
        if create:
            prove(storage)
        known |= create
        return ObjectStorage(location, PATIENCE) if known and is_url(location) else storage
    except STORAGE_ERRORS as error:
        remove_empty(made)
        raise unusable(location, error, create=create) from error


def prove(storage: Storage) -> None:
    """Do once all that a ledger does; what must not be is then told now, and not by a trial.

    Raises:
        OSError, BaseError: the storage cannot.
    """
    path = f"{SCRATCH}/proof-{uuid.uuid4().hex}"
    # Not the first answer: an object store's request that is sent again finds its own file.
    storage.create_once(path, b"first")
    try:
        if storage.create_once(path, b"second") or storage.read(path) != b"first":
            raise OSError("it cannot create a file only if there is none")
        storage.replace(path, b"third")
        if storage.read(path) != b"third" or path not in {f.path for f in storage.files(SCRATCH)}:
            raise OSError("it does not show what was just written")
    finally:
        storage.delete(path)


def unusable(location: str, error: Exception, *, create: bool) -> UserError:
    """What a user is told of a storage that raised an error when it was opened."""
    if is_url(location):
        needed = "give the URL of an object store that this machine may use"
        by = next((names for s, names in CREDENTIALS.items() if location.lower().startswith(s)), "")
        needed += f": by {by}, or by its role" if by else ""
    else:
        there = "you can write to, on a file system with hard links" if create else "that exists"
        needed = f"give a directory {there}, or the URL of an object store"
    return UserError(f"storage {location!r} cannot be used ({reason_of(error)}): {needed}")


def reason_of(error: Exception) -> str:
    """A storage error in a few words."""
    text = str(error)
    if any(server in text for server in METADATA_SERVERS):
        return "no credentials for it in the environment, nor by the machine's role"
    if isinstance(error, OSError) and error.strerror:
        path = error.filename2 or error.filename
        return f"{error.strerror}: {path}" if path else error.strerror
    return TOOK.sub("", text.strip().partition("\n")[0])


def _refuse_what_is_no_place(location: str) -> None:
    scheme = location.partition(":")[0].lower()
    if "\0" in location:
        raise UserError(f"storage {location!r}: must hold no NUL character")
    if is_url(location):
        if scheme in NO_STORAGE:
            raise UserError(f"storage {location!r} is no place for a study: {NO_STORAGE[scheme]}")
    elif ALMOST_URL.match(location):
        raise UserError(
            f"storage {location!r}: an object store's URL begins with {scheme}://; a directory of "
            f"that name is ./{location}"
        )
