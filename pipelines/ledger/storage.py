"""Where a study's files live: a local directory, or an object store behind a URL.

Both write whole files only, atomically and durably, and both can create a file *if absent*: that is
all that the ledger's promises rest on. Object stores go through obstore. Local files do not: its
`LocalStore` never calls fsync, so a file that it has confirmed can be empty after a power failure.
"""

import errno
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from pipelines.errors import UserError

SCRATCH = ".tmp"  # half-written local files live here, on the same file system as the final ones
PARALLEL_READS = 64  # an object store answers in ~30 ms: 20,000 files in ~10 s
STORAGE_ERRORS = (OSError, BaseError)


@dataclass(frozen=True)
class File:
    """One stored file: its path, a token that changes whenever it is written again, its bytes."""

    path: str
    version: str
    size: int


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

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The content of each file in turn, as `read` gives it."""
        ...

    def files(self, folder: str) -> list[File]:
        """All files below a folder, in no particular order; empty if there is no such folder."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; one that does not exist is fine."""
        ...


def open_storage(location: str, *, create: bool) -> Storage:
    """The storage at a local path, or at a URL such as `s3://bucket/prefix`.

    Endpoint, region and keys of an object store come from the environment (`AWS_ENDPOINT_URL`,
    `AWS_ACCESS_KEY_ID`, ...). With `create`, a missing directory is made and the place is proven to
    be writable. Raises `UserError` if it cannot be used.
    """
    try:
        if re.match(r"[a-z][a-z0-9+.-]*://", location):
            storage: Storage = _ObjectStorage(location)
        else:
            storage = _LocalStorage(Path(location), create=create)
        if create:
            storage.replace(f"{SCRATCH}/writable", b"")
            storage.delete(f"{SCRATCH}/writable")
        return storage
    except STORAGE_ERRORS as error:
        raise UserError(
            f"storage {location!r} cannot be used ({reason_of(error)}): give a directory"
            f"{' you can write to' if create else ' that exists'}, or the URL of an object store"
        ) from error


def reason_of(error: Exception) -> str:
    """A storage error in a few words."""
    return getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]


class _LocalStorage:
    """A directory on a POSIX file system that has hard links."""

    def __init__(self, root: Path, *, create: bool):
        self.root = root.absolute()
        self.scratch = self.root / SCRATCH
        if create:
            _make_directory(self.scratch)
            self._clear_scratch()
        elif not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such directory", str(root))

    def create_once(self, path: str, data: bytes) -> bool:
        target = self._target(path)
        if target.exists():
            return False
        with self._written(data) as complete:
            try:
                os.link(complete, target)  # atomic; unlike a rename, it never overwrites
            except FileExistsError:
                return False
        _sync_directory(target.parent)
        return True

    def replace(self, path: str, data: bytes) -> None:
        target = self._target(path)
        with self._written(data) as complete:
            os.replace(complete, target)
        _sync_directory(target.parent)

    def read(self, path: str) -> bytes | None:
        try:
            with open(f"{self.root}/{path}", "rb") as file:  # pathlib takes as long as reading
                return file.read()
        except FileNotFoundError:
            return None

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return map(self.read, paths)

    def files(self, folder: str) -> list[File]:
        files, folders = [], [folder]
        while folders:
            parent = folders.pop()
            try:
                entries = list(os.scandir(f"{self.root}/{parent}"))
            except FileNotFoundError:
                continue
            for entry in entries:
                path = f"{parent}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                    continue
                with suppress(FileNotFoundError):  # somebody has just deleted it
                    status = entry.stat()
                    version = f"{status.st_ino}-{status.st_mtime_ns}"
                    files.append(File(path, version, status.st_size))
        return files

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def _target(self, path: str) -> Path:
        target = self.root / path
        _make_directory(target.parent)
        return target

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A complete, durable file under a scratch name, which is gone in the end."""
        _make_directory(self.scratch)
        scratch = self.scratch / uuid.uuid4().hex
        try:
            with open(scratch, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield scratch
        finally:
            scratch.unlink(missing_ok=True)

    def _clear_scratch(self) -> None:
        """Remove what killed processes left behind; nobody takes an hour to write one file."""
        for entry in os.scandir(self.scratch):
            with suppress(FileNotFoundError):  # others write, and finish, all the time
                if entry.stat().st_mtime < time.time() - 3600:
                    os.unlink(entry)


class _ObjectStorage:
    """A prefix in a bucket of S3, GCS, Azure or anything else that can create if absent."""

    def __init__(self, url: str):
        self.store = from_url(url)

    def create_once(self, path: str, data: bytes) -> bool:
        try:
            obstore.put(self.store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def replace(self, path: str, data: bytes) -> None:
        obstore.put(self.store, path, data)

    def read(self, path: str) -> bytes | None:
        try:
            return obstore.get(self.store, path).bytes().to_bytes()
        except FileNotFoundError:
            return None

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            yield from pool.map(self.read, paths)

    def files(self, folder: str) -> list[File]:
        listed = obstore.list(self.store, folder).collect()
        return [
            File(meta["path"], meta["e_tag"] or str(meta["last_modified"]), meta["size"])
            for meta in listed
        ]

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            obstore.delete(self.store, path)


def _sync_directory(path: Path) -> None:
    """Make names in a directory durable: fsync of a file says nothing about its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    """Make a directory and its ancestors, durably."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        _sync_directory(path.parent)
