"""One driver per study: who holds it, for how long, and who may take it over."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.ledger import lease as module
from pipelines.ledger.lease import Holder, Lease, acquire_lease, live_holder
from pipelines.ledger.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path), create=True)


def held_by(storage: Storage, **who) -> Lease:
    """A lease that this process wrote in somebody else's name."""
    lease = Lease(storage, 1, replace(Holder.here(), **who))
    lease._write()
    return lease


def elsewhere(expires_in: float) -> dict:
    return {"host": "node7", "machine": "another", "pid": 42, "expires": time.time() + expires_in}


def leases(storage: Storage) -> list[str]:
    return [file.path for file in storage.files("lease")]


def test_a_live_driver_is_left_alone_and_named(storage: Storage):
    acquire_lease(storage)
    with pytest.raises(UserError, match=rf"\A[^\n]*pid {os.getpid()} [^\n]*\Z"):
        acquire_lease(storage)


def test_a_driver_elsewhere_is_live_until_its_lease_expires(storage: Storage):
    held_by(storage, **elsewhere(expires_in=5))
    with pytest.raises(UserError, match="host 'node7', pid 42 "):
        acquire_lease(storage)
    held_by(storage, **elsewhere(expires_in=-1))
    acquire_lease(storage)


def test_a_live_process_here_needs_no_renewal(storage: Storage):
    """It may have been suspended, with the machine or without."""
    held_by(storage, expires=1.0)
    with pytest.raises(UserError, match="driving"):
        acquire_lease(storage)


def test_a_driver_that_was_killed_here_is_replaced_at_once(storage: Storage, tmp_path: Path):
    script = """
import sys
from pipelines.ledger.lease import acquire_lease
from pipelines.ledger.storage import open_storage
acquire_lease(open_storage(sys.argv[1], create=False))
print("driving", flush=True)
sys.stdin.read()
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with driver:
        assert driver.stdout and driver.stdout.readline()
        with pytest.raises(UserError, match=f"pid {driver.pid} "):
            acquire_lease(storage)
        driver.kill()
    acquire_lease(storage)


def test_another_process_with_the_number_of_a_dead_one_is_not_the_driver(storage: Storage):
    held_by(storage, process_start=Holder.here().process_start - 3)
    acquire_lease(storage)


@pytest.mark.parametrize(("expires_in", "live"), [(30, True), (-1, False)])
def test_a_lease_of_an_earlier_version_on_this_machine_counts_until_it_expires(
    storage: Storage, expires_in: float, live: bool
):
    """Its start is in another unit, so whether its process lives cannot be told."""
    held_by(storage, process_start="123456", expires=time.time() + expires_in)
    assert (live_holder(storage) is not None) == live


def test_a_released_lease_is_free_at_once(storage: Storage):
    with acquire_lease(storage):
        pass
    acquire_lease(storage)
    assert leases(storage) == ["lease/00000002.json"]


@pytest.mark.parametrize("damage", [b"", b'{"token": "', b"[1]", b'{"unknown": 1}'])
def test_a_damaged_lease_is_free(storage: Storage, damage: bytes):
    storage.replace("lease/00000007.json", damage)
    acquire_lease(storage)
    assert leases(storage) == ["lease/00000008.json"]


def test_a_flipped_bit_does_not_keep_a_lease_for_ever(storage: Storage):
    """Its time of expiry, say, a thousand years later."""
    lease = held_by(storage, **elsewhere(expires_in=30))
    data = storage.read("lease/00000001.json") or b""
    later = data.replace(b'"expires": 1', b'"expires": 9')
    assert later != data
    storage.replace("lease/00000001.json", later)
    assert live_holder(storage) is None and lease.renew() and live_holder(storage) is not None


def test_what_else_lies_beside_the_leases_is_nobodys(storage: Storage):
    storage.replace("lease/00000009.json~", b"an editor's")
    storage.replace("lease/notes", b"")
    acquire_lease(storage)
    assert sorted(leases(storage)) == [
        "lease/00000001.json",
        "lease/00000009.json~",
        "lease/notes",
    ]


def test_of_many_that_start_at_once_exactly_one_drives(storage: Storage):
    held_by(storage, **elsewhere(expires_in=-1))

    def start(_: int) -> bool:
        try:
            acquire_lease(storage)
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(16))) == 1


def test_a_lease_that_goes_while_others_are_listed_is_not_there(storage: Storage, monkeypatch):
    held_by(storage, **elsewhere(expires_in=-1))
    storage.replace("lease/00000002.json", b"{}")
    scan = os.scandir

    def late(place):
        entries = list(scan(place))
        storage.delete("lease/00000001.json")
        return entries

    monkeypatch.setattr(os, "scandir", late)
    assert leases(storage) == ["lease/00000002.json"]


def test_one_that_slept_while_others_came_and_went_does_not_drive(storage: Storage, monkeypatch):
    held_by(storage, **elsewhere(expires_in=-1))
    create_once = storage.create_once
    others = []

    def late(path: str, data: bytes) -> bool:
        if not others:
            others.append(None)
            acquire_lease(storage).release()
            others.append(acquire_lease(storage))
        return create_once(path, data)

    monkeypatch.setattr(storage, "create_once", late)
    with pytest.raises(UserError, match="driving"):
        acquire_lease(storage)
    assert others[1].renew()
    assert leases(storage) == ["lease/00000003.json"]


def test_a_renewed_lease_lasts_longer_and_one_taken_over_is_lost_for_good(storage: Storage):
    lease = held_by(storage, **elsewhere(expires_in=-1))
    assert lease.renew() and lease.holder.expires > time.time() + 30
    held_by(storage, **elsewhere(expires_in=-1))
    acquire_lease(storage)
    assert not lease.renew() and lease.lost


def test_it_renews_itself_even_after_the_storage_was_away(storage: Storage, monkeypatch):
    monkeypatch.setattr(module, "LIFETIME", 0.04)
    replace_file = storage.replace
    written = []

    def unreliable(path: str, data: bytes) -> None:
        written.append(data)
        if len(written) == 1:
            raise OSError("away")
        replace_file(path, data)

    monkeypatch.setattr(storage, "replace", unreliable)
    with acquire_lease(storage) as lease:
        deadline = time.time() + 10
        while len(written) < 3 and time.time() < deadline:
            time.sleep(0.005)
        assert len(written) >= 3 and not lease.lost


def test_who_lost_the_lease_does_not_release_the_successors(storage: Storage):
    with held_by(storage, **elsewhere(expires_in=-1)) as lease:
        successor = acquire_lease(storage)
        lease.renew()
    with pytest.raises(UserError, match="driving"):
        acquire_lease(storage)
    assert successor.renew()
