"""A storage in an object store: S3, GCS, Azure or what speaks like them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError
from obstore.store import from_url

from pipelines.ledger.files import File

SHORTEST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between two tries of a request
PARALLEL_READS = 64  # an object store answers in ~30 ms: 20,000 files in ~10 s


class ObjectStorage:
    """A prefix in a bucket of S3, GCS, Azure or anything else that can create if absent."""

    def __init__(self, url: str, patience: float = 3.0):
        """Patience: seconds for which a request that fails is repeated."""
        self.store = from_url(
            url,
            retry_config={
                "max_retries": 10**6,
                "retry_timeout": timedelta(seconds=patience),
                "backoff": {
                    "init_backoff": timedelta(seconds=SHORTEST_WAIT),
                    "max_backoff": timedelta(seconds=LONGEST_WAIT),
                    "base": 2,
                },
            },
        )
        self.patience = patience

    def create_once(self, path: str, data: bytes) -> bool:
        requests = 0

        def create() -> None:
            nonlocal requests
            requests += 1
            obstore.put(self.store, path, data, mode="create")

        try:
            self._insist(create)
        except AlreadyExistsError:
            # One that failed may have been carried out, and only its answer was lost.
            return requests > 1 and self.read(path) == data
        return True

    def replace(self, path: str, data: bytes) -> None:
        obstore.put(self.store, path, data)

    def read(self, path: str) -> bytes | None:
        try:
            return obstore.get(self.store, path).bytes().to_bytes()
        except FileNotFoundError:
            return None

    def read_own(self, path: str) -> bytes | None:
        return self.read(path)  # there are no links

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
            self._insist(lambda: obstore.delete(self.store, path))

    def _insist(self, request: Callable[[], object]) -> None:
        """Send a request that the client repeats only if it was answered."""
        deadline, wait = time.monotonic() + self.patience, SHORTEST_WAIT
        while True:
            try:
                request()
                return
            except GenericError:
                if time.monotonic() + wait > deadline:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
