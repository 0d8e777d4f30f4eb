"""At most one driver per study, on whatever machine it runs.

Leases are numbered files, each created once: whoever creates the next number after a dead lease
holds the study, so taking over needs no compare-and-swap, on disks and in object stores alike. The
driver's lease is the newest; only older ones are ever deleted.

A lease is live while its process is alive, if that can be seen from here, and until it expires, if
not. Workers need no lease: an attempt writes only its own files (`pipelines/ledger/ledger.py`).
"""

import os
import re
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from pipelines.documents import encode
from pipelines.errors import UserError
from pipelines.ledger.documents import read_document, write_document
from pipelines.ledger.storage import STORAGE_ERRORS, Storage

FOLDER = "lease"
NAME = re.compile(rf"{FOLDER}/\d{{8}}\.json")
SAME_START = 2.0  # seconds; two looks at the same process differ by less
LIFETIME = 60.0  # seconds from one renewal to expiry; must exceed the clocks' difference by far


class LeaseHeld(UserError):
    """Another driver is live, or seems to be."""


@dataclass(frozen=True)
class Holder:
    """What a lease file says. Times: seconds since the epoch; `expires` is 0 once released."""

    token: str
    host: str
    machine: str | None
    pid: int
    process_start: float | str | None  # seconds after boot; text in leases of earlier versions
    started: float
    expires: float

    @staticmethod
    def here() -> "Holder":
        """This process, from now on."""
        now, pid = time.time(), os.getpid()
        return Holder(
            token=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            process_start=_process_start(pid),
            started=now,
            expires=now + LIFETIME,
        )

    def is_live(self, takeover: bool = False) -> bool:
        """Whether this process may still be driving its study.

        With `takeover`, only until its lease expires.
        """
        if not self.expires:
            return False
        # Process numbers are used again, so the process must also have started when this one did.
        if not takeover and self.machine is not None and self.machine == _machine():
            start, recorded = _process_start(self.pid), self.process_start
            if start is None:
                return False
            if isinstance(recorded, float):
                return abs(start - recorded) < SAME_START
        return time.time() < self.expires


class Lease:
    """The right to drive a study. As a context manager it renews itself until the end."""

    def __init__(self, storage: Storage, number: int, holder: Holder):
        self.storage, self.number, self.holder = storage, number, holder
        self._lost = threading.Event()
        self._done = threading.Event()

    @property
    def lost(self) -> bool:
        """True once another driver has taken the study over: hand out no more attempts."""
        return self._lost.is_set()

    def renew(self) -> bool:
        """Put the expiry off by a lifetime; False, for good, if another driver has taken over."""
        if not self.lost and _newest(self.storage)[0] > self.number:
            self._lost.set()
        if not self.lost:
            self.holder = replace(self.holder, expires=time.time() + LIFETIME)
            self._write()
        return not self.lost

    def release(self) -> None:
        """Give the study up: the next driver need not wait."""
        self.holder = replace(self.holder, expires=0.0)
        self._write()

    def __enter__(self) -> "Lease":
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if not self.lost:
            self.release()

    def _write(self) -> None:
        write_document(self.storage, _path(self.number), asdict(self.holder))

    def _keep(self) -> None:
        while not self.lost and not self._done.wait(LIFETIME / 4):
            # The storage may be away for a while. The lease then runs out by itself, and whether
            # somebody took over in the meantime shows at the next renewal.
            with suppress(*STORAGE_ERRORS):
                self.renew()


def acquire_lease(storage: Storage, takeover: bool = False) -> Lease:
    """The lease of the study in `storage`; a dead driver's is taken over.

    With `takeover`, an expired one is too though its process is alive: a driver that hangs, or was
    suspended.
    Raises `LeaseHeld`, with host and process, while another driver is live.
    """
    newest, holder = _newest(storage)
    if holder is not None and holder.is_live(takeover):
        raise _refusal(holder)
    lease = Lease(storage, newest + 1, Holder.here())
    path = _path(lease.number)
    created = storage.create_once(path, encode(asdict(lease.holder), path))
    # An object store's retried request may find its own file, so look who is the newest. This also
    # unmasks a number that was already used and deleted when this process was asleep in between.
    newest, holder = _newest(storage)
    if holder != lease.holder:
        if created:
            storage.delete(path)
        raise _refusal(holder)
    for older in _paths(storage):
        if older < path:
            storage.delete(older)
    return lease


def live_holder(storage: Storage) -> Holder | None:
    """Who drives the study in `storage`; None if nobody does."""
    _, holder = _newest(storage)
    return holder if holder is not None and holder.is_live() else None


def damaged_leases(storage: Storage) -> list[str]:
    """Paths of those that are not as they were written."""
    return [path for path in _paths(storage) if read_document(storage, path) is None]


def _newest(storage: Storage) -> tuple[int, Holder | None]:
    """Number and content of the newest lease: 0 if there is none, None if it cannot be read."""
    newest = max(_paths(storage), default=None)
    if newest is None:
        return 0, None
    try:
        holder = Holder(**(read_document(storage, newest) or {}))
    except TypeError:
        holder = None  # damaged: its writer is gone, or will write it again at its next renewal
    return int(Path(newest).stem), holder


def _paths(storage: Storage) -> list[str]:
    """Of all leases; what else lies in their folder is nobody's."""
    return [file.path for file in storage.files(FOLDER) if NAME.fullmatch(file.path)]


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"


def _refusal(holder: Holder | None) -> LeaseHeld:
    if holder is None:
        return LeaseHeld("lease: another driver is just starting on this study; try again")
    return LeaseHeld(
        f"lease: host {holder.host!r}, pid {holder.pid} is driving this study since "
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(holder.started))}; "
        f"stop it, or wait until it is gone for {LIFETIME:.0f} s (--wait-for-lease SECONDS)"
    )


def _machine() -> str | None:
    """Identifies where process numbers mean the same; None where that cannot be told (no Linux)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except FileNotFoundError:
        return None


def _process_start(pid: int) -> float | None:
    """When a process of this machine started, in seconds after boot; None if it is gone."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        # Both follow the clock when it is set; their difference does not.
        return process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None
