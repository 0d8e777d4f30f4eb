"""Ray's process may die: the launch starts it anew once, and says what happened. Without Ray."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from pipelines.cluster import ray_process as module
from pipelines.cluster.ray_process import RayWork, run_in_process
from pipelines.errors import RayLost, UserError
from pipelines.execution.jobs import Job

# What `ray_main` does, played: `ask` asks the launch, `end` is the last word.
PLAYED = """
import os, subprocess, sys, time
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
sys.path[:] = line.recv()
line.recv_bytes()

def ask(name, *arguments):
    line.send((name, arguments))
    return line.recv()

def end(error=None):
    line.send(("end", error))

"""
AGAIN = "seen = os.path.exists({file!r}); open({file!r}, 'w').close()\n"


class Queue:
    """Two jobs, and what became of them."""

    def __init__(self) -> None:
        self.left, self.ends = ["one", "two"], []

    def next(self, gpus: float = 0.0, whole: int = 0) -> Job | None:
        spec: Any = {"key": self.left.pop(0)} if self.left else None
        return spec and Job(spec, 1, gpus)

    def ended(self, key: str, lost: str | None = None):
        self.ends.append((key, lost))
        if lost is not None:
            self.left.append(key)
            return None
        return key

    @property
    def finished(self) -> bool:
        return not self.left


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch):
    """Run a process that does `inside`; the queue, what was said, and which trials were shown."""
    monkeypatch.setattr(module, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(module, "SIGNAL_SECONDS", 0.2)

    def run(
        inside: str,
        address: str | None = None,
        stop: Callable[[], bool] = lambda: False,
        queue: Queue | None = None,
    ) -> tuple[Queue, list[str], list[str]]:
        queue, said, shown = queue or Queue(), [], []
        monkeypatch.setattr(module, "START", PLAYED + inside)
        unread: Any = None
        work, jobs = RayWork(address, unread, 1.0, 0.0), cast(Any, queue)
        run_in_process(work, jobs, shown.append, said.append, stop)
        return queue, said, shown

    return run


ALL = """
while (job := ask("next", 0.5, 0)[1]) is not None:
    assert job[1:] == (1, 0.5, None)
    ask("ended", job[0]["key"], None)
assert ask("finished") == (True, True) and ask("stop") == (True, False)
ask("say", "hello")
end()
"""


def test_it_is_handed_out_what_is_missing_and_what_ended_is_shown(play):
    queue, said, shown = play(ALL)
    assert queue.ends == [("one", None), ("two", None)]
    assert said == ["hello"] and shown == ["one", "two"]


def test_if_it_dies_it_is_started_anew_and_what_was_running_runs_again(play, tmp_path: Path):
    again = AGAIN.format(file=str(tmp_path / "seen"))
    queue, said, shown = play(
        again + "if not seen: ask('next', 0.5, 0); os.kill(os.getpid(), 9)" + ALL
    )
    assert queue.ends == [("one", "node"), ("two", None), ("one", None)]
    assert said == [
        "Ray's processes ended; Ray is started anew, and the launch goes on.",
        "hello",
    ]
    assert sorted(shown) == ["one", "two"]


def test_if_it_dies_again_the_launch_ends_with_a_status_of_its_own(play, capfd):
    with pytest.raises(RayLost, match=r"\ARay's processes ended 2 times[^\n]*the same command"):
        play("print('C++'); print('traces', file=sys.stderr, flush=True); os._exit(1)")
    assert RayLost.status == 4 and capfd.readouterr() == ("", "")


def test_if_it_does_not_start_again_its_reason_is_told(play):
    """What it was lost with the second time is the better reason."""
    no_start = "from pipelines.errors import RayLost; end(RayLost('Ray could not be started (x)'))"
    with pytest.raises(RayLost, match=r"\ARay could not be started \(x\); what was done is kept"):
        play(no_start)


def test_of_a_cluster_the_head_is_lost_at_once(play):
    """Who is connected to it can start nothing anew there."""
    with pytest.raises(RayLost, match=r"\Aaddress 'head:6379': the cluster's head is lost;"):
        play("os._exit(1)", address="head:6379")


def test_if_the_same_signal_came_to_the_launch_it_only_stops(play):
    queue, said, _ = play("ask('next', 0, 0); os._exit(1)", stop=lambda: True)
    assert said == [] and queue.ends == []


def test_if_it_hangs_when_asked_to_stop_it_is_killed(play, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    _, said, _ = play("time.sleep(60)", stop=lambda: True)
    assert said == []


def test_its_error_is_the_launchs_own(play):
    refusal = "from pipelines.errors import UserError; end(UserError('node 2: has no torch'))"
    with pytest.raises(UserError, match=r"\Anode 2: has no torch\Z") as refused:
        play(refusal)
    assert type(refused.value) is UserError


def test_an_error_of_the_job_queue_is_raised_as_it_is(play):
    full = OSError(28, "No space left on device")

    class Full(Queue):
        def next(self, gpus: float = 0.0, whole: int = 0):
            raise full

    with pytest.raises(OSError) as raised:
        play(
            "assert ask('next', 0, 0) == (False, None); end(ValueError('no answer'))", queue=Full()
        )
    assert raised.value is full


def is_alive(pid: int) -> bool:
    """It may go at any moment, and may be a zombie where nobody waits for it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_that_it_started_is_left(play, tmp_path: Path):
    file = tmp_path / "pid"
    start = "sleeping = subprocess.Popen(['sleep', '60'])\n"
    play(f"{start}open({str(file)!r}, 'w').write(str(sleeping.pid)); end()")
    pid = int(file.read_text())
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_has_a_session_of_its_own_so_signals_to_the_launchs_group_leave_it(play):
    said = play("ask('say', str(os.getsid(0) == os.getpid())); end()")[1]
    assert said == ["True"] and os.getsid(0) != os.getpid()
