"""Damage to one file of a study: which, how, and whether it was seen."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.faults.studies import Place
from pipelines.documents import DIGEST, decode
from pipelines.ledger.storage import open_storage

#: Kinds of files; each is as likely as the others.
KINDS = {
    "study.json": "study.json",
    "request.json": "request.json",
    "spec": "trials/*/spec.json",
    "result": "trials/*/result.json",
    "history": "trials/*/history.json",
    "model": "trials/*/model.pt",
    "examples": "trials/*/examples.pt",
    "checkpoint": "trials/*/checkpoint-*",
    "started": "trials/*/started.json",
    "error": "trials/*/error.json",
    "traceback": "trials/*/traceback.txt",
    "conflict": "trials/*/conflict.json",
    "set aside": "trials/*/set-aside.json",
    "pruned": "trials/*/pruned.json",
    "index": "index/*",
    "lease": "lease/*",
    "report": "re*",
    "W&B": "wandb/*",
}
ONLY_LOCAL = ("W&B",)
#: Ways after which nothing is there to read.
GONE = ("deleted", "directory", "dangling link", "link to itself", "link to a folder", "pipe")
#: What nobody can miss: it costs steps, an attempt, some seconds, or nothing.
DISPENSABLE = ("checkpoint", "error", "started", "set aside", "index")
DERIVED = ("report", "W&B", "lease")  # nothing that a launch reads: made anew, or a copy


def flip(data: bytes, rng: random.Random) -> bytes:
    """One bit."""
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Its beginning."""
    return data[: rng.randrange(max(1, len(data)))]


def zeros(data: bytes, rng: random.Random) -> bytes:
    """A block of zeros, as a disk gives for a sector it has lost."""
    start = rng.randrange(max(1, len(data)))
    return (data[:start] + bytes(512) + data[start + 512 :])[: len(data)]


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped": flip,
    "truncated": truncate,
    "emptied": lambda data, rng: b"",
    "zeros": zeros,
}
WAYS = {"flipped": 5, "truncated": 2, "emptied": 1, "zeros": 1, "deleted": 3, "swapped": 2}
LOCAL_WAYS = {
    "flipped, same time": 2,
    "older": 1,
    "directory": 1,
    "dangling link": 1,
    "link to itself": 1,
    "link to a folder": 1,
    "link to another": 1,
    "pipe": 1,
}


class Damage:
    """One file to damage, and how.

    rng: chooses them. truth, other: files of the study, and of the other one, by path. spared: keys
    of trials, and files, that are damaged already.
    """

    def __init__(
        self,
        rng: random.Random,
        truth: Mapping[str, bytes],
        other: Mapping[str, bytes],
        s3: bool,
        spared: Collection[str],
    ) -> None:
        self.rng, self.truth, self.other = rng, truth, other
        by_kind = defaultdict(list)
        for path in sorted(truth):
            for kind, pattern in KINDS.items():
                if fnmatch(path, pattern) and not (s3 and kind in ONLY_LOCAL):
                    by_kind[kind].append(path)
        free = {
            kind: some
            for kind, paths in sorted(by_kind.items())
            if (some := [p for p in paths if not {p, _key(p)} & {*spared}])
        }
        self.kind = rng.choice([*free])
        self.path = rng.choice(free[self.kind])
        self.siblings = [path for path in by_kind[self.kind] if path != self.path]
        ways = WAYS if s3 else WAYS | LOCAL_WAYS
        [self.way] = rng.choices([*ways], [*ways.values()])
        if not self.siblings and self.way in ("swapped", "link to another"):
            self.way = "deleted"

    @property
    def key(self) -> str | None:
        """The trial that the file belongs to."""
        return _key(self.path)

    def do(self, place: Place) -> None:
        """Damage the file."""
        if place.folder is not None and self.way in LOCAL_WAYS:
            self._do_locally(place.folder / self.path, place.folder)
            return
        storage = open_storage(place.location, create=False)
        if self.way == "deleted":
            storage.delete(self.path)
        elif self.way == "swapped":
            storage.replace(self.path, self.truth[self.rng.choice(self.siblings)])
        else:
            changed = CHANGES[self.way](self.truth[self.path], self.rng)
            if place.folder is None:
                storage.replace(self.path, changed)
            else:
                (place.folder / self.path).write_bytes(changed)

    def _do_locally(self, file: Path, folder: Path) -> None:
        if self.way == "flipped, same time":
            times = file.stat().st_atime_ns, file.stat().st_mtime_ns
            file.write_bytes(flip(file.read_bytes(), self.rng))
            os.utime(file, ns=times)
            return
        if self.way == "older":
            file.write_bytes(self.other.get(self.path, self.truth[self.path]))
            return
        file.unlink()
        if self.way == "directory":
            file.mkdir()
            (file / "something").write_text("of somebody's")
        elif self.way == "pipe":
            os.mkfifo(file)
        else:
            targets = {"dangling link": "nowhere", "link to itself": file.name}
            another = folder / (self.siblings[0] if self.siblings else "study.json")
            targets |= {"link to a folder": str(folder / "trials"), "link to another": str(another)}
            file.symlink_to(targets[self.way])

    def named_in(self, words: str) -> bool:
        """Whether a command has named the file; a trial's by its key and its name.

        Without the record of a pruning, the model that was pruned is missed.
        """
        names = [self.path]
        if self.key is not None:
            path = self.path
            if self.way in GONE:
                path = path.replace("pruned.json", "model.pt")
            names = [self.key, path.removeprefix(f"trials/{self.key}/")]
        return any(all(name in line for name in names) for line in words.splitlines())

    def in_the_way(self, place: Place) -> bool:
        """Whether something lies where the file was, that is none."""
        if place.folder is None:
            return False
        file = place.folder / self.path
        return os.path.lexists(file) and not file.is_file()

    def _set_aside(self) -> bool:
        """Whether the file is of an attempt whose result was set aside."""
        return f"{self.path.rpartition('/')[0]}/set-aside.json" in self.truth

    def harmless(self, place: Place) -> bool:
        """Whether the file is as it was after all, or nothing that anybody reads."""
        gone = self.way in GONE and (self.kind in DISPENSABLE or self._set_aside())
        stale = self.kind == "index" and self.way == "older"  # rows count while they match
        if self.kind in DERIVED or gone or stale:
            return True
        data = open_storage(place.location, create=False).read(self.path)
        whole = self.truth[self.path]
        if data is None:  # a damaged checkpoint goes with the others once there is a result
            return self.kind == "checkpoint"
        valid = self.way == "older" and decode(data, self.path) is not None
        return data == whole or _same(data, whole) or valid


def _key(path: str) -> str | None:
    folder, _, rest = path.partition("/")
    return rest.partition("/")[0] if folder == "trials" else None


def _same(data: bytes | None, whole: bytes) -> bool:
    """Whether white space, or the name of the digest, is all that differs."""

    def bare(text: bytes) -> bytes:
        return b"".join(text.split()).rpartition(b",")[0]

    return data is not None and DIGEST.encode() in whole and bare(data) == bare(whole)
