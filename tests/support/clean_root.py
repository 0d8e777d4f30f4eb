"""Runs a Dockerfile's steps without Docker: in an empty Debian in a folder, by chroot.

In the place of Docker's official image of Python is Debian's own Python, as an environment in
/usr/local.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("debootstrap", "unshare", "chroot")
PACKAGES = "ca-certificates,python3,python3-venv"
#: Behind these words, a command in the folder "$1"; its mounts go with it.
INSIDE = ["unshare", "--mount", "--propagation=private", "sh", "-ec"]
MOUNTS = 'mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"; '
CHROOT = 'user="$2"; folder="$3"; root="$1"; shift 3; exec chroot --userspec="$user" "$root" '
CHROOT += """sh -c 'cd "$0" && exec "$@"' "$folder" "$@" """


class CleanRoot:
    """An empty Debian in a folder, with the state that a Dockerfile's instructions leave."""

    def __init__(self, folder: Path, suite: str) -> None:
        """folder: is made. suite: of Debian, "bookworm".

        Raises:
            AssertionError: Debian's packages cannot be had, with what debootstrap says.
        """
        self.folder = folder
        self.user, self.workdir = "0:0", "/"
        self.environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        made = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(folder)]
        _run([*INSIDE, 'exec "$@"', "sh", *made])
        shutil.copy("/etc/resolv.conf", folder / "etc" / "resolv.conf")
        self.run("/usr/bin/python3", "-m", "venv", "/usr/local")

    def run(self, *command: str) -> str:
        """What a command prints, run as the image's present user, where it would be."""
        pip, sources = pip_configuration()
        for source in sources:
            here = self.folder / str(source).lstrip("/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.mkdir(exist_ok=True) if source.is_dir() else here.touch()
        binds = [f'mount --bind -o ro "{source}" "$1{source}"; ' for source in sources]
        script = MOUNTS + "".join(binds) + CHROOT
        words = [str(self.folder), self.user, self.workdir, *command]
        return _run([*INSIDE, script, "sh", *words], self.environment | pip)

    def build(self, dockerfile: str, context: Path) -> list[str]:
        """Carry all instructions out; the words of the last one, CMD.

        context: what COPY copies from.

        Raises:
            AssertionError: one failed, with its output.
        """
        for name, rest in instructions(dockerfile):
            match name:
                case "RUN":
                    self.run("/bin/sh", "-c", rest)
                case "COPY":
                    self._copy(context, *rest.split())
                case "WORKDIR":
                    self.workdir = rest
                    (self.folder / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "ENV":
                    variable, _, value = rest.partition("=")
                    self.environment[variable] = value
                case "USER":
                    self._become(rest)
                case "CMD":
                    return json.loads(rest)
                case "FROM" | "ARG":  # the suite, and what pip's configuration gives
                    pass
                case _:
                    raise ValueError(f"{name}: not known here")
        raise ValueError("no CMD")

    def _copy(self, context: Path, *words: str) -> None:
        *patterns, target = words
        for pattern in patterns:
            found = list(context.glob(pattern))
            assert found, f"COPY {pattern}: nothing there"
            for path in found:
                shutil.copy(path, self.folder / self.workdir.lstrip("/") / target)

    def _become(self, user: str) -> None:
        entry = self.run("getent", "passwd", user).split(":")
        self.user = f"{entry[2]}:{entry[3]}"
        self.environment["HOME"] = entry[5]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Name and rest of each, without comments."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(words[0], words[1]) for line in whole if (words := line.split(maxsplit=1))]


def pip_configuration() -> tuple[dict[str, str], list[Path]]:
    """This machine's, as variables, and what of this machine it names: an index with its files."""
    said = _run([sys.executable, "-m", "pip", "config", "list"])
    variables, named = {}, set()
    for line in said.splitlines():
        key, _, value = line.partition("=")
        text = ast.literal_eval(value)
        variables["PIP_" + key.rpartition(".")[2].upper().replace("-", "_")] = text
        for word in text.split():
            index = word.startswith("file://")
            path = Path(word.removeprefix("file://")).parent if index else Path(word)
            if path.is_absolute() and path.exists():
                named.add(path)
    return variables, sorted(named)


def missing() -> str | None:
    """Why there can be no clean root here."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: debootstrap)"
    return None if os.geteuid() == 0 else "a root of its own needs root"


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout
