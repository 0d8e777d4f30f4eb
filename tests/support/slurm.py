"""A SLURM of three nodes on this machine: its own daemons, ports, keys and folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "runuser")
NODES = ("n1", "n2", "n3")
PROCESSORS = 2  # of each node
STATES = ("sinfo", "-h", "-N", "-p", "low", "-o", "%T")
GRACE = 60  # seconds between the notice of a preemption and its end
PATIENCE = 1800.0  # seconds for a job to come to where it should
CONFIGURATION = """\
MinJobAge=86400
ClusterName=untuned
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
FirstJobId={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
MessageTimeout=60
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime={grace} MaxTime=60
PartitionName=high Nodes=ALL PriorityTier=2 PreemptMode=OFF MaxTime=60
"""


def missing() -> str | None:
    """Why there can be no SLURM here."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "SLURM's daemons need root"


class Slurm:
    """The cluster: its jobs run in its folder, as its caller or another user."""

    def __init__(self, folder: Path, ended: ExitStack) -> None:
        self.folder = folder
        ports = _free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={PROCESSORS} RealMemory=8000"
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        configuration = folder / "slurm.conf"
        configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname(), folder=folder, ports=ports, nodes=nodes, grace=GRACE
            )
        )
        bin_folder = Path(sys.executable).parent
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
            "SLURM_CONF": str(configuration),
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "WANDB_MODE": "disabled",
        }
        self._start_daemons(ended)
        ended.callback(self._end_jobs)
        _until(lambda: self.say(*STATES).split() == ["idle"] * len(NODES), "idle nodes")

    def _start_daemons(self, ended: ExitStack) -> None:
        keys = self.folder / "munge"
        for folder in (keys, self.folder / "state", *(self.folder / f"spool-{n}" for n in NODES)):
            folder.mkdir()
        keys.joinpath("key").write_bytes(os.urandom(128))
        keys.joinpath("key").chmod(0o600)
        files = [f"--{name}-file={keys / name}" for name in ("key", "pid", "log", "seed")]
        self._start(
            ended, ["munged", "--foreground", "--force", f"--socket={keys / 'socket'}", *files]
        )
        _until((keys / "socket").exists, "munged")
        self._start(ended, ["slurmctld", "-D", "-c"])
        for node in NODES:
            self._start(ended, ["slurmd", "-D", "-N", node])

    def _start(self, ended: ExitStack, daemon: list[str]) -> None:
        path = self.folder / f"{daemon[0]}.log"
        log = ended.enter_context(path.open("ab"))
        process = subprocess.Popen(daemon, env=self.environment, stdout=log, stderr=log)
        ended.callback(process.wait)
        ended.callback(process.terminate)

    def _end_jobs(self) -> None:
        for partition in ("low", "high"):
            self.say("scancel", f"--partition={partition}")
            self.say("scancel", f"--partition={partition}", "--full", "--signal=KILL")
        _until(lambda: not self.say("squeue", "-h"), "the end of all jobs")

    def say(self, *command: str, user: str | None = None) -> str:
        """What a command prints, run by a user."""
        switch = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(
            [*switch, *command],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def changed(self, environment: dict[str, str]) -> Iterator[None]:
        """Jobs that are submitted meanwhile have other variables."""
        before = self.environment
        self.environment = before | environment
        yield
        self.environment = before

    def submit(self, *words: str, user: str | None = None) -> str:
        """The id of a job that `sbatch` takes."""
        return self.say("sbatch", "--parsable", *words, user=user)

    def job(self, job: str) -> dict[str, str]:
        """What SLURM knows of a job: JobState, Restarts, ExitCode, StdOut and more."""
        words = self.say("scontrol", "show", "job", "-o", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def said(self, job: str) -> str:
        """What a job has printed."""
        path = Path(self.job(job)["StdOut"])
        return path.read_text() if path.exists() else ""

    def wait(self, job: str, *states: str) -> dict[str, str]:
        """A job once it is in one of these states, and on no node any more if it has ended.

        One that waits to be queued again need not wait: its machines are known to be in order.
        """

        def there() -> bool:
            now = self.job(job)
            if now["JobState"] == "PENDING" and now["Reason"] == "BeginTime":
                self.say("scontrol", "update", f"JobId={job}", "StartTime=now")
            return now["JobState"] in states

        _until(there, f"job {job} in {states}", lambda: f"{self.job(job)}\n{self.said(job)}")
        return self.job(job)


@contextmanager
def slurm() -> Iterator[Slurm]:
    """A SLURM of three nodes; all of it has ended afterwards."""
    with ExitStack() as ended:
        folder = ended.enter_context(
            tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)
        )
        Path(folder).chmod(0o755)  # jobs of another user read the configuration
        yield Slurm(Path(folder), ended)


def _until(true: Callable[[], bool], what: str, more: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"no {what} in {PATIENCE:.0f} s: {more()}"
        time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        there = [open_sockets.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in there]
