"""Damage to the bytes of a file, and what must come of whatever reads it."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hypothesis import strategies as st

from pipelines.errors import UserError

SECONDS = 20  # that nothing below takes, however loaded the machine

T = TypeVar("T")
Damage = Callable[[bytes], bytes]


def _place(share: float, content: bytes) -> int:
    return int(share * len(content))


def truncated(share: float) -> Damage:
    return lambda content: content[: _place(share, content)]


def flipped(share: float, offset: int, bit: int) -> Damage:
    """One bit, of a byte near a place: headers are small, and matter most."""

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        if changed:
            changed[(_place(share, content) + offset) % len(changed)] ^= 1 << bit
        return bytes(changed)

    return damage


def overwritten(share: float, run: bytes) -> Damage:
    def damage(content: bytes) -> bytes:
        place = _place(share, content)
        return content[:place] + run + content[place + len(run) :]

    return damage


def inserted(share: float, run: bytes) -> Damage:
    def damage(content: bytes) -> bytes:
        place = _place(share, content)
        return content[:place] + run + content[place:]

    return damage


def removed(share: float, length: int) -> Damage:
    def damage(content: bytes) -> bytes:
        place = _place(share, content)
        return content[:place] + content[place + length :]

    return damage


shares = st.one_of(st.just(0.0), st.just(0.99), st.floats(0, 0.9999))
RUNS = [
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x01",
    b"\n",
    b'"',
    b",",
    b"\xe9",
    b"-1",
    b"nan",
    b"1e999",
]
damages = st.one_of(
    st.builds(truncated, shares),
    st.builds(flipped, shares, st.integers(-64, 64), st.integers(0, 7)),
    st.builds(overwritten, shares, st.sampled_from(RUNS) | st.binary(min_size=1, max_size=8)),
    st.builds(inserted, shares, st.sampled_from(RUNS) | st.binary(min_size=1, max_size=8)),
    st.builds(removed, shares, st.integers(1, 40)),
)


@contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """What takes longer is a failure, and no hang."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(action: Callable[[], T]) -> T | UserError:
    """What an action gives, or its refusal in one line: beside it, nothing is said.

    Any other exception is a failure of the test, and so is a word on standard error.
    """
    with tempfile.TemporaryFile() as said:
        standard_error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            with time_limit():
                result: T | UserError = action()
        except UserError as refusal:
            result = refusal
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
        said.seek(0)
        assert said.read() == b""
    if isinstance(result, UserError):
        assert str(result) and str(result).isprintable(), "one line, and something in it"
    return result
