"""A storage in a directory of a POSIX file system.

Not obstore's: its `LocalStore` never calls fsync, so a file that it has confirmed can be empty
after a power failure.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipelines.ledger.files import SCRATCH, File

#: What os.link says where the file system cannot: FUSE and SMB mounts, exFAT.
NO_LINKS = (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP)
NO_OWN_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class LocalStorage:
    """A directory on a POSIX file system that has hard links."""

    def __init__(self, root: Path, *, create: bool):
        self.root = root.absolute()
        self.scratch = self.root / SCRATCH
        if create:
            _make_directory(self.scratch, Path(self.root.anchor))
            self._clear_scratch()
        elif not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such directory", str(root))

    def create_once(self, path: str, data: bytes) -> bool:
        target = self._target(path)
        if _is_file(target):
            return False
        with self._written(data) as complete:
            try:
                os.link(complete, target)  # atomic; unlike a rename, it never overwrites
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno in NO_LINKS:
                    raise OSError(error.errno, "its file system has no hard links") from error
                raise
        _sync_directory(target.parent)
        return True

    def replace(self, path: str, data: bytes) -> None:
        target = self._target(path)
        with self._written(data) as complete:
            os.replace(complete, target)
        _sync_directory(target.parent)

    def read(self, path: str) -> bytes | None:
        try:  # not pathlib, which takes as long as reading
            descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in NO_OWN_FILE:
                return None
            raise
        try:
            return _read_file(descriptor)
        finally:
            os.close(descriptor)

    def read_own(self, path: str) -> bytes | None:
        *folders, name = Path(path).parts
        # One step at a time: a path that is checked first may be another one when it is opened.
        steps = [(str(self.root), os.O_DIRECTORY)]
        steps += [(folder, os.O_DIRECTORY | os.O_NOFOLLOW) for folder in folders]
        steps += [(name, os.O_NOFOLLOW | os.O_NONBLOCK)]  # not to wait at a named pipe
        with ExitStack() as opened:
            descriptor = None
            for part, flags in steps:
                try:
                    descriptor = os.open(part, os.O_RDONLY | flags, dir_fd=descriptor)
                except OSError as error:
                    if error.errno in NO_OWN_FILE:
                        return None
                    raise
                opened.callback(os.close, descriptor)
            assert descriptor is not None
            return _read_file(descriptor)

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return map(self.read, paths)

    def files(self, folder: str) -> list[File]:
        files, folders = [], [folder]
        while folders:
            parent = folders.pop()
            try:
                entries = list(os.scandir(f"{self.root}/{parent}"))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                path = f"{parent}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                    continue
                if (status := _status_of_file(entry)) is not None:
                    version = f"{status.st_ino}-{status.st_mtime_ns}"
                    files.append(File(path, version, status.st_size))
        return files

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def _target(self, path: str) -> Path:
        target = self.root / path
        _make_directory(target.parent, self.root)
        return target

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A complete, durable file under a scratch name, which is gone in the end."""
        _make_directory(self.scratch, self.root)
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


def _read_file(descriptor: int) -> bytes | None:
    """All of it; None if it is no plain file: a folder, or a pipe at which one would wait."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _status_of_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None if it is no plain file, or a link to none; or if somebody has just deleted it."""
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno in NO_OWN_FILE:
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None


def _is_file(target: Path) -> bool:
    """Whether a file is there.

    Raises:
        OSError: something else is. It is somebody's, and nobody reads it as a file of a study.
    """
    try:
        if stat.S_ISREG(target.stat().st_mode):
            return True
    except FileNotFoundError:
        if not target.is_symlink():
            return False
    raise OSError(errno.EEXIST, "what lies there is no file", str(target))


def _sync_directory(path: Path) -> None:
    """Make names in a directory durable: fsync of a file says nothing about its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path, within: Path) -> None:
    """Make a directory and its ancestors, durably.

    Raises:
        FileNotFoundError: `within` is not there. What was mounted in its place may have gone.
    """
    if not path.is_dir():
        if path == within:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(within))
        _make_directory(path.parent, within)
        path.mkdir(exist_ok=True)
        _sync_directory(path.parent)


def missing_folders(root: Path) -> list[Path]:
    """What a storage at `root` would make: the innermost folder first."""
    root = root.absolute()
    return [folder for folder in (root / SCRATCH, root, *root.parents) if not folder.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Take back folders that were made for nothing; what somebody has filled meanwhile stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
